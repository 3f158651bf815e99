"""From raw times to the speed fields of a row: medians, and ratios of medians with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from coreheads.config.cells import Cell
from coreheads.stats.bootstrap import ratio_of_medians_ci

if TYPE_CHECKING:  # speed is also measured where pydantic is not installed
    from coreheads.store.schema import TimingRecord

PHASES = ("preprocess", "vision", "prefill", "decode")
"""Seconds of one repeat; ``decode`` is per token. End to end is all of them with the tokens that were decoded."""


def end_to_end(times: Mapping[str, Sequence[float]], tokens: int) -> list[float]:
    """Seconds from media to the last of ``tokens`` answer tokens, a repeat, of the phases that were measured."""
    unmeasured = [0.0] * len(times["prefill"])
    return [
        preprocess + vision + prefill + tokens * decode
        for preprocess, vision, prefill, decode in zip(*(times.get(name) or unmeasured for name in PHASES), strict=True)
    ]


def one_measurement(timing: TimingRecord, other: TimingRecord) -> bool:
    """Whether two timings were taken in turns: then they hold the very same dense times, of one device."""
    return timing["device"] == other["device"] and timing["times"]["dense"] == other["times"]["dense"]


def measured_together(cell: Cell, timings: dict[str, Any]) -> dict[str, Any]:
    """The timings of the cell's model and task that come from one measurement, the newest, by cell name.

    A speedup over any other dense row would compare two machines or processes, and is left out.
    """
    own = {
        name: timing
        for name, timing in timings.items()
        if (timing["cell"]["model"], timing["cell"]["task"]) == (cell.model, cell.task)
    }
    newest = next(reversed(own.values()), None)
    return {name: timing for name, timing in own.items() if newest is not None and one_measurement(timing, newest)}


def dense_speed(timing: dict[str, Any]) -> dict[str, Any]:
    """The dense model's own times; its speedup is 1 by definition."""
    ratios = ("prefill_speedup", "decode_speedup", "end_to_end_speedup", "kv_bytes_ratio")
    return {**_measured(timing, "dense"), **dict.fromkeys(ratios, 1.0)}


def patched_speed(timing: dict[str, Any]) -> dict[str, Any]:
    """Speed of a patched cell against dense, measured in one process and interleaved.

    ceiling: the prefill speedup with the non-selected heads' attention left out. ceiling_share: the measured
    prefill speedup over that ceiling.
    """
    times, tokens = timing["times"], timing["decode_tokens"]
    dense, patched, ceiling = times["dense"], times["patched"], times.get("ceiling")
    speedup, low, high = ratio_of_medians_ci(dense["prefill"], patched["prefill"])
    decode, _, _ = ratio_of_medians_ci(dense["decode"], patched["decode"])
    whole, _, _ = ratio_of_medians_ci(end_to_end(dense, tokens), end_to_end(patched, tokens))
    fields = {
        **_measured(timing, "patched"),
        "prefill_speedup": speedup,
        "prefill_speedup_ci": (low, high),
        "decode_speedup": decode,
        "end_to_end_speedup": whole,
        "kv_bytes_ratio": timing["kv_bytes_ratio"],
        "peak_memory_ratio": timing["peak_memory_ratio"],
    }
    if ceiling is not None:
        fields["ceiling"], _, _ = ratio_of_medians_ci(dense["prefill"], ceiling["prefill"])
        fields["ceiling_share"] = speedup / fields["ceiling"]
    return fields


def _measured(timing: dict[str, Any], variant: str) -> dict[str, Any]:
    """What is no ratio."""
    times = timing["times"][variant]
    return {
        "prefill_ms": 1000 * median(times["prefill"]),
        "decode_ms_per_token": 1000 * median(times["decode"]),
        "timed_tokens": timing["prompt_tokens"],
        "dense_kernel": timing["dense_kernel"],
        "repeats": timing["repeats"],
    }
