"""From raw times to the speed fields of a row: medians, and ratios of medians with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Literal

from coreheads.config.cells import Cell
from coreheads.stats.bootstrap import ratio_of_medians_ci

if TYPE_CHECKING:  # speed is also measured where pydantic is not installed
    from coreheads.store.board import Speed
    from coreheads.store.schema import Phases, TimingRecord


def end_to_end(times: Phases, tokens: int) -> list[float]:
    """Seconds from media to the last of ``tokens`` answer tokens, a repeat.

    Raises:
        KeyError: A phase is missing.
        ValueError: Phases were not repeated equally often.
    """
    phases = zip(times["preprocess"], times["vision"], times["prefill"], times["decode"], strict=True)
    return [preprocess + vision + prefill + tokens * decode for preprocess, vision, prefill, decode in phases]


def one_measurement(timing: TimingRecord, other: TimingRecord) -> bool:
    """Whether two timings were taken in turns: then they hold the very same dense times, of one device."""
    return timing["device"] == other["device"] and timing["times"]["dense"] == other["times"]["dense"]


def measured_together(cell: Cell, timings: Mapping[str, TimingRecord]) -> dict[str, TimingRecord]:
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


def dense_speed(timing: TimingRecord) -> Speed:
    """The dense model's own times; its speedup is 1 by definition."""
    return {
        **_measured(timing, "dense"),
        "prefill_speedup": 1.0,
        "decode_speedup": 1.0,
        "end_to_end_speedup": 1.0,
        "kv_bytes_ratio": 1.0,
    }


def patched_speed(timing: TimingRecord) -> Speed:
    """Speed of a patched cell against dense, measured in one process and interleaved.

    ceiling: the prefill speedup with the non-selected heads' attention left out. ceiling_share: the measured
    prefill speedup over that ceiling.
    """
    times, tokens = timing["times"], timing["decode_tokens"]
    dense, patched, ceiling = times["dense"], times["patched"], times.get("ceiling")
    speedup, low, high = ratio_of_medians_ci(dense["prefill"], patched["prefill"])
    decode, _, _ = ratio_of_medians_ci(dense["decode"], patched["decode"])
    whole, _, _ = ratio_of_medians_ci(end_to_end(dense, tokens), end_to_end(patched, tokens))
    limit = None if ceiling is None else ratio_of_medians_ci(dense["prefill"], ceiling["prefill"])[0]
    return {
        **_measured(timing, "patched"),
        "prefill_speedup": speedup,
        "prefill_speedup_ci": (low, high),
        "decode_speedup": decode,
        "end_to_end_speedup": whole,
        "ceiling": limit,
        "ceiling_share": None if limit is None else speedup / limit,
        "kv_bytes_ratio": timing["kv_bytes_ratio"],
        "peak_memory_ratio": timing["peak_memory_ratio"],
    }


def _measured(timing: TimingRecord, variant: Literal["dense", "patched"]) -> Speed:
    """What is no ratio; the ratios are null."""
    times = timing["times"][variant]
    return {
        "prefill_ms": 1000 * median(times["prefill"]),
        "select_ms": 1000 * median(chosen) if (chosen := times.get("select")) else None,
        "prefill_speedup": None,
        "prefill_speedup_ci": None,
        "decode_ms_per_token": 1000 * median(times["decode"]),
        "decode_speedup": None,
        "end_to_end_speedup": None,
        "ceiling": None,
        "ceiling_share": None,
        "kv_bytes_ratio": None,
        "peak_memory_ratio": None,
        "timed_tokens": timing["prompt_tokens"],
        "dense_kernel": timing["dense_kernel"],
        "repeats": timing["repeats"],
    }
