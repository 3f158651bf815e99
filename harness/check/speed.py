"""Relative speed and memory of a run against its baseline's: ratios to dense of the same run, never seconds."""

from __future__ import annotations

from collections.abc import Iterator

from coreheads.check.baseline import Baseline, SpeedRecord
from coreheads.check.findings import Finding
from coreheads.check.tolerances import Tolerances


def compare_speed(now: Baseline, before: Baseline) -> Iterator[Finding]:
    """For every cell of the baseline that was timed, or whose KV bytes are known, and that the run has."""
    for name, old in before.cells.items():
        new, tolerances = now.cells.get(name), before.tolerances.of(name)
        if new is None:
            continue
        if old.speed is not None:
            if new.speed is None:
                yield Finding("speed", name, old.speed.speedup, None, False, "the measurement is missing")
            else:
                yield _speed(name, old.speed, new.speed, tolerances)
        if old.kv_bytes_ratio is not None:
            if new.kv_bytes_ratio is None:
                yield Finding("memory", name, old.kv_bytes_ratio, None, False, "the KV bytes are missing")
            else:
                rose = new.kv_bytes_ratio - old.kv_bytes_ratio
                text = f"KV bytes over dense, may rise by {tolerances.kv_ratio:g}"
                ok = rose <= tolerances.kv_ratio + 1e-9
                yield Finding("memory", name, old.kv_bytes_ratio, new.kv_bytes_ratio, ok, text)


def _speed(name: str, old: SpeedRecord, new: SpeedRecord, tolerances: Tolerances) -> Finding:
    least = tolerances.speed_ratio * old.speedup
    if old.low > 1:
        least = max(least, 1 + tolerances.speed_kept * (old.speedup - 1))
    ok = new.speedup >= least - 1e-9 or new.high >= old.low
    text = f"prefill speedup over dense of the same run, at least {least:.2f}"
    return Finding("speed", name, old.speedup, new.speedup, ok, text, (new.low - old.speedup, new.high - old.speedup))
