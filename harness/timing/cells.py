"""The timed cells of one model and task: dense, the patches and their ceilings in one interleaved measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from statistics import median
from typing import Any

from coreheads import environment
from coreheads.config.cells import Cell
from coreheads.timing.interleaved import Variant, time_variants


def time_cells(
    evaluator: Any,
    cells: Sequence[tuple[Cell, Any]],
    tokens: dict[int, int],
    repeats: int,
    warmup: int,
    decode_tokens: int,
    advance: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Records for timings.jsonl, one a cell.

    cells: with their patches; all of one task. tokens: prompt length by document index, of the samples evaluated;
    the prompt nearest to their median length is timed.
    """
    adapter = evaluator.model.adapter
    index = nearest_to_median(tokens, 1)[0]
    task = evaluator.task(cells[0][0].task)
    prompt = evaluator.prompt(task.benchmark.name, index)
    variants = []
    for number, (_, patch) in enumerate(cells):
        # the ceiling with the patch's cache: but for the attention left out, all is what the patch does
        for name, variant in ((f"patched{number}", patch), (f"ceiling{number}", ceiling_of(patch))):
            if variant is not None:
                variants.append(Variant(name, variant, cache_of(patch, adapter.model)))
    timed = time_variants(
        adapter,
        prompt,
        lambda: evaluator.prepare(task.benchmark.name, index),
        variants,
        repeats,
        warmup,
        decode_tokens,
        advance,
    )
    records = []
    for number, (cell, patch) in enumerate(cells):
        own = {"dense": "dense", "patched": f"patched{number}", "ceiling": f"ceiling{number}"}
        dense_peak, peak = (timed.peak_bytes[own[name]] for name in ("dense", "patched"))
        records.append(
            {
                "name": cell.name,
                "cell": cell.to_json(),
                "device": environment.device_name(str(adapter.device)),
                "dtype": str(adapter.dtype).removeprefix("torch."),
                "record_id": task.ids[index],
                "prompt_tokens": prompt.tokens,
                "decode_tokens": decode_tokens,
                "repeats": repeats,
                "dense_kernel": timed.dense_kernel,
                "kernels": timed.kernels,
                "kv_bytes_ratio": kv_ratio(patch, adapter.model, prompt.tokens),
                "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
                "times": {name: timed.times[variant] for name, variant in own.items() if variant in timed.times},
            }
        )
    return records


def cache_of(patch: Any, model: Any) -> Callable[[], Any] | None:
    """What makes the patch's own cache, where it has one."""
    return (lambda: patch.cache(model)) if hasattr(patch, "cache") else None


def ceiling_of(patch: Any) -> Any:
    """The same selection with the other heads' attention left out, where the patch knows what that is."""
    if is_dataclass(patch) and not isinstance(patch, type) and hasattr(patch, "local"):
        return replace(patch, local=False)
    return None


def kv_ratio(patch: Any, model: Any, tokens: int) -> float | None:
    """KV bytes kept over dense at so many tokens; None where the patch keeps all or does not say."""
    return float(patch.kv_ratio(model, tokens)) if hasattr(patch, "kv_ratio") else None


def nearest_to_median(tokens: Mapping[int, int], count: int) -> list[int]:
    """The ``count`` keys whose values lie nearest to the median value; equal distances by key."""
    middle = median(tokens.values())
    return sorted(tokens, key=lambda key: (abs(tokens[key] - middle), key))[:count]
