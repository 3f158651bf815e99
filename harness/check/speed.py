"""Relative speed and memory of a run against its baseline's: ratios to dense of the same run, never seconds."""

from __future__ import annotations

from collections.abc import Iterator

from coreheads.check.baseline import Baseline, SpeedRecord
from coreheads.check.findings import Finding
from coreheads.check.tolerances import Tolerances

NARROW = 0.9
"""An interval that begins above this part of its speedup is no wide one, however small the gain."""


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


def too_wide(speed: SpeedRecord, tolerances: Tolerances) -> bool:
    """Whether a baseline's interval reaches below what a run must keep of its speedup, as that of a busy machine does:
    a run that lost it all could still lie within."""
    least = max(tolerances.speed_ratio * speed.speedup, 1 + tolerances.speed_kept * (speed.speedup - 1))
    return speed.low < min(least, NARROW * speed.speedup)


def _speed(name: str, old: SpeedRecord, new: SpeedRecord, tolerances: Tolerances) -> Finding:
    least = tolerances.speed_ratio * old.speedup
    if old.low > 1:
        least = max(least, 1 + tolerances.speed_kept * (old.speedup - 1))
    slow = new.speedup < least - 1e-9
    ok = not slow or new.high >= old.low
    text = f"prefill speedup over dense of the same run, at least {least:.2f}"
    wide = too_wide(old, tolerances)
    if ok and (slow or wide):
        whose, interval = ("baseline", old) if wide else ("run", new)
        text += (
            f"; cannot tell: the {whose}'s interval is [{interval.low:.2f}, {interval.high:.2f}], time it again on an "
        )
        text += "idle machine"
    ci = new.low - old.speedup, new.high - old.speedup
    return Finding("speed", name, old.speedup, new.speedup, ok, text, ci, unclear=ok and (slow or wide))
