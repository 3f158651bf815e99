"""The regression gate: a run against a stored baseline, in accuracy, head ranking, relative speed and memory."""

from __future__ import annotations

from pathlib import Path

from coreheads.baseline import Baseline, Tolerances, load_baseline, save_baseline, snapshot
from coreheads.check_accuracy import compare_accuracy
from coreheads.check_findings import Report, worst
from coreheads.check_heads import compare_heads
from coreheads.check_speed import compare_speed
from coreheads.run_folder import RunFolder


def check(run: RunFolder, baseline: Baseline) -> Report:
    """Compare a run with a baseline; UserError where the run has nothing to compare."""
    reasons = {name: str(record["failed"]) for name, record in run.failures().items()}
    unscored = {name: run.samples(name).unscored for name in run.cells() if name in baseline.cells}
    return compare(snapshot(run), baseline, reasons, unscored)


def compare(
    now: Baseline,
    before: Baseline,
    reasons: dict[str, str] | None = None,
    unscored: dict[str, dict[str, str]] | None = None,
) -> Report:
    """All comparisons, regressions first; what the run has beyond the baseline is not judged. ``before`` says what is
    tolerated."""
    found, worse = compare_accuracy(now, before, reasons or {}, unscored or {})
    found += [*compare_heads(now.heads, before), *compare_speed(now, before)]
    return Report(tuple(sorted(found, key=lambda finding: finding.ok)), tuple(worst(worse)))


def update(run: RunFolder, path: Path) -> Report | None:
    """Write the run as the new baseline, with the tolerances of the old one, and return what it changes; None where
    there was none."""
    old = load_baseline(path) if path.exists() else None
    new = snapshot(run, old.tolerances if old is not None else Tolerances())
    report = None if old is None else compare(new, old)
    save_baseline(path, new)
    return report
