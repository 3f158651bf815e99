"""The timed cells of one model and task: dense, the patches and their ceilings in one interleaved measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Protocol

from coreheads import environment
from coreheads.config.cells import Cell
from coreheads.config.schema import TimingConfig
from coreheads.store.schema import SCHEMA_VERSION, Phases, Times, TimingRecord
from coreheads.timing.interleaved import fastest_kernel, time_patches

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.patches.base import Patch
    from coreheads.adapters.prompt.prompt import Prompt
    from coreheads.tasks.lmms import BenchmarkTask


class Prompts(Protocol):
    """A loaded model and the prompts of its tasks, as the run's evaluator has them."""

    @property
    def adapter(self) -> Adapter:
        """The model's."""

    def task(self, name: str) -> BenchmarkTask:
        """The task of that name."""

    def prompt(self, name: str, index: int) -> Prompt:
        """The prompt of a document of the task; one prepared before will do."""

    def prepare(self, name: str, index: int, share: float = 1.0) -> Prompt:
        """The same, prepared anew from its media, with that share of their vision tokens."""


def time_cells(
    evaluator: Prompts,
    cells: Sequence[tuple[Cell, Patch]],
    tokens: dict[int, int],
    settings: TimingConfig,
    advance: Callable[[], object] = lambda: None,
) -> list[TimingRecord]:
    """Time the cells of one task interleaved, on the prompt nearest to the median length.

    Args:
        evaluator: Holds the loaded model and the prepared prompts.
        cells: Each with its patch; all of one task.
        tokens: Prompt length in tokens by document index, of the samples evaluated.
        settings: Repeats, warm-up and tokens decoded.
        advance: Called after every one of the ``settings.rounds``.

    Returns:
        Records for timings.jsonl, one a cell, durations in seconds.
    """
    adapter = evaluator.adapter
    index = nearest_to_median(tokens)
    task = evaluator.task(cells[0][0].task)
    prompt = evaluator.prompt(task.benchmark.name, index)
    prepare = partial(evaluator.prepare, task.benchmark.name, index)
    cells = [(cell, patch.for_prompt(adapter.model, prompt)) for cell, patch in cells]
    patches = {cell.name: patch for cell, patch in cells}
    times, peaks, kernels = time_patches(adapter, prompt, prepare, patches, settings, advance)
    records: list[TimingRecord] = []
    for cell, patch in cells:
        kept = _kept(times["dense"], times[cell.name])
        own: Times = {"dense": _phases(times["dense"]), "patched": _phases(times[cell.name])}
        if (ceiling := times.get(f"ceiling {cell.name}")) is not None:
            own["ceiling"] = _phases(ceiling)
        dense_peak, peak = peaks["dense"], peaks[cell.name]
        largest = peak.largest / dense_peak.largest if peak and dense_peak else None
        record: TimingRecord = {
            "schema_version": SCHEMA_VERSION,
            "name": cell.name,
            "cell": cell.to_json(),
            "device": environment.devices_name(adapter.devices),
            "dtype": str(adapter.dtype).removeprefix("torch."),
            "record_id": task.ids[index],
            "prompt_tokens": prompt.tokens,
            "decode_tokens": settings.decode_tokens,
            "repeats": settings.repeats,
            "dense_kernel": fastest_kernel(kernels),
            "kernels": kernels["prefill"],
            "kv_bytes_ratio": patch.kept_ratio(adapter.model, prompt.tokens, kept),
            "peak_memory_ratio": peak.total / dense_peak.total if peak and dense_peak else None,
            "times": own,
        }
        if len(adapter.devices) > 1:
            record["peak_device_ratio"] = largest
        records.append(record)
    return records


def _kept(dense: Mapping[str, list[float]], own: Mapping[str, list[float]]) -> float:
    """KV bytes over dense, as the caches of the timed runs held them."""
    return own["kv_bytes"][0] / dense["kv_bytes"][0]


def _phases(seconds: Mapping[str, list[float]]) -> Phases:
    phases: Phases = {
        "preprocess": seconds["preprocess"],
        "vision": seconds["vision"],
        "prefill": seconds["prefill"],
        "decode": seconds["decode"],
    }
    if "select" in seconds:
        phases["select"] = seconds["select"]
    return phases


def nearest_to_median(tokens: Mapping[int, int]) -> int:
    """The key whose value lies nearest to the median value; the first of several."""
    middle = median(tokens.values())
    return min(tokens, key=lambda key: (abs(tokens[key] - middle), key))
