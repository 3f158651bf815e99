"""The timed cells of one model and task: dense, the patches and their ceilings in one interleaved measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from coreheads import environment
from coreheads.config.cells import Cell
from coreheads.config.schema import TimingConfig
from coreheads.timing.interleaved import fastest_kernel, time_patches


def time_cells(
    evaluator: Any,
    cells: Sequence[tuple[Cell, Any]],
    tokens: dict[int, int],
    settings: TimingConfig,
    advance: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Time the cells of one task interleaved, on the prompt nearest to the median length.

    Args:
        evaluator: Holds the loaded model and the prepared prompts.
        cells: Each with its patch; all of one task.
        tokens: Prompt length in tokens by document index, of the samples evaluated.
        settings: Repeats, warm-up and tokens decoded.
        advance: Called after every repeat.

    Returns:
        Records for timings.jsonl, one a cell, durations in seconds.
    """
    adapter = evaluator.model.adapter
    index = nearest_to_median(tokens)
    task = evaluator.task(cells[0][0].task)
    prompt = evaluator.prompt(task.benchmark.name, index)
    prepare = partial(evaluator.prepare, task.benchmark.name, index)
    patches = {cell.name: patch for cell, patch in cells}
    times, peaks, kernels = time_patches(adapter, prompt, prepare, patches, settings, advance)
    records = []
    for cell, patch in cells:
        own = {"dense": "dense", "patched": cell.name, "ceiling": f"ceiling {cell.name}"}
        dense_peak, peak = peaks["dense"], peaks[cell.name]
        records.append(
            {
                "name": cell.name,
                "cell": cell.to_json(),
                "device": environment.device_name(str(adapter.device)),
                "dtype": str(adapter.dtype).removeprefix("torch."),
                "record_id": task.ids[index],
                "prompt_tokens": prompt.tokens,
                "decode_tokens": settings.decode_tokens,
                "repeats": settings.repeats,
                "dense_kernel": fastest_kernel(kernels),
                "kernels": kernels["prefill"],
                "kv_bytes_ratio": kv_ratio(patch, adapter.model, prompt.tokens),
                "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
                "times": {name: times[variant] for name, variant in own.items() if variant in times},
            }
        )
    return records


def kv_ratio(patch: Any, model: Any, tokens: int) -> float | None:
    """KV bytes kept over dense at so many tokens; None where the patch keeps all or does not say."""
    return float(patch.kv_ratio(model, tokens)) if hasattr(patch, "kv_ratio") else None


def nearest_to_median(tokens: Mapping[int, int]) -> int:
    """The key whose value lies nearest to the median value; the first of several."""
    middle = median(tokens.values())
    return min(tokens, key=lambda key: (abs(tokens[key] - middle), key))
