"""The timed cells of one model and task: dense, the patches and their ceilings in one interleaved measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coreheads import environment
from coreheads.config.cells import Cell
from coreheads.timing.interleaved import Variant, nearest_to_median, time_variants


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
        variants.append(Variant(f"patched{number}", patch, cache_of(patch, adapter.model)))
        ceiling = ceiling_of(patch)
        if ceiling is not None:
            # with the same cache: but for the attention left out, all is what the patch does
            variants.append(Variant(f"ceiling{number}", ceiling, cache_of(patch, adapter.model)))
    measured = time_variants(
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
        times = {"dense": measured["times"]["dense"], "patched": measured["times"][f"patched{number}"]}
        if f"ceiling{number}" in measured["times"]:
            times["ceiling"] = measured["times"][f"ceiling{number}"]
        dense_peak, peak = measured["peak_bytes"]["dense"], measured["peak_bytes"][f"patched{number}"]
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
                "dense_kernel": measured["dense_kernel"],
                "kernels": measured["kernels"],
                "kv_bytes_ratio": kv_ratio(patch, adapter.model, prompt.tokens),
                "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
                "times": times,
            }
        )
    return records


def cache_of(patch: Any, model: Any) -> Callable[[], Any] | None:
    """What makes the patch's own cache, where it has one."""
    return (lambda: patch.cache(model)) if hasattr(patch, "cache") else None


def ceiling_of(patch: Any) -> Any:
    """The same selection with the other heads' attention left out, where the patch knows what that is."""
    from dataclasses import is_dataclass, replace

    if is_dataclass(patch) and not isinstance(patch, type) and hasattr(patch, "local"):
        return replace(patch, local=False)
    return None


def kv_ratio(patch: Any, model: Any, tokens: int) -> float | None:
    """KV bytes kept over dense at so many tokens; None where the patch keeps all or does not say."""
    return float(patch.kv_ratio(model, tokens)) if hasattr(patch, "kv_ratio") else None
