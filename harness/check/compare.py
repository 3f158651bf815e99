"""The regression gate: a run against a stored baseline, in accuracy, head ranking, relative speed and memory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from coreheads.check.accuracy import compare_accuracy
from coreheads.check.baseline import Baseline, load_baseline, save_baseline, snapshot
from coreheads.check.findings import Report
from coreheads.check.heads import compare_heads
from coreheads.check.speed import compare_speed
from coreheads.leaderboard.gaps import find_gaps
from coreheads.leaderboard.rows import build_rows
from coreheads.store.folder import RunFolder


def check(run: RunFolder, baseline: Baseline) -> Report:
    """Compare a run with a baseline; UserError where the run has nothing to compare."""
    reasons = {name: str(record["failed"]) for name, record in run.failures().items()}
    now = snapshot(run, whole=False)  # samples that are missing are a finding
    unscored = {
        name: run.samples(name, whole=False).unscored
        for name, cell in now.cells.items()
        if name in baseline.cells and baseline.cells[name].samples.keys() - cell.samples.keys()
    }
    return compare(now, baseline, reasons, unscored)


def compare(
    now: Baseline,
    before: Baseline,
    reasons: dict[str, str] | None = None,
    unscored: dict[str, dict[str, str]] | None = None,
) -> Report:
    """All comparisons, regressions first; what the run has beyond the baseline is not judged. ``before`` says what is
    tolerated."""
    findings, worse = compare_accuracy(now, before, reasons or {}, unscored or {})
    findings += [*compare_heads(now.heads, before), *compare_speed(now, before)]
    # of samples that lost as much, those that are no near-ties come first
    worst = sorted(worse, key=lambda one: (one.now - one.before, one.near_tie, one.cell, one.record))
    return Report(tuple(sorted(findings, key=lambda finding: finding.ok)), tuple(worst))


def update(run: RunFolder, path: Path) -> tuple[Report | None, list[str]]:
    """Write the run as the new baseline, with the tolerances of the old one; (what that changes, None where there was
    none; sentences on cells that it adds or takes away, and on what of the run is not finished)."""
    old = load_baseline(path) if path.exists() else None
    new = snapshot(run, None if old is None else old.tolerances)
    report = None if old is None else compare(new, old)
    save_baseline(path, new)
    known = {} if old is None else old.cells
    notes = [
        _cells(known.keys() - new.cells.keys(), "The new baseline has no longer"),
        "" if old is None else _cells(new.cells.keys() - known.keys(), "The new baseline also has"),
        *(f"Not in it: {what}: {why}" for what, why in find_gaps(run, build_rows(run))),
    ]
    return report, [note for note in notes if note]


def _cells(names: Collection[str], what: str) -> str:
    return f"{what} {len(names)} cells: {', '.join(sorted(names))}" if names else ""
