"""The regression gate: a run against a stored baseline, in accuracy, head ranking, relative speed and memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from coreheads.check.accuracy import compare_accuracy
from coreheads.check.baseline import Baseline, load_baseline, save_baseline
from coreheads.check.findings import Finding, Report
from coreheads.check.heads import compare_heads
from coreheads.check.integrity import contradictions
from coreheads.check.settings import compare_settings, not_asked
from coreheads.check.snapshot import snapshot
from coreheads.check.speed import compare_speed, too_wide
from coreheads.errors import UserError
from coreheads.leaderboard.gaps import find_gaps
from coreheads.leaderboard.rows import build_rows
from coreheads.store.folder import RunFolder


def check(run: RunFolder, baseline: Baseline) -> Report:
    """Compare a run with a baseline; UserError where the run has nothing to compare."""
    reasons = {name: str(record["failed"]) for name, record in (run.failures() | run.cannot()).items()}
    now = snapshot(run, whole=False)  # samples that are missing are a finding
    unscored = {
        name: run.samples(name, whole=False).unscored
        for name, cell in now.cells.items()
        if name in baseline.cells and baseline.cells[name].samples.keys() - cell.samples.keys()
    }
    wrong = [finding for finding in contradictions(run) if finding.name in baseline.cells]
    return compare(now, baseline, reasons, unscored, wrong, not_asked(run, baseline))


def compare(
    now: Baseline,
    before: Baseline,
    reasons: dict[str, str] | None = None,
    unscored: dict[str, dict[str, str]] | None = None,
    wrong: Sequence[Finding] = (),
    missing: Sequence[str] = (),
) -> Report:
    """All comparisons, regressions first; what the run has beyond the baseline is not judged. ``before`` says what is
    tolerated. A run of other settings gets one line that says so; heads that were picked otherwise may follow from a
    ranking that got worse, which is shown then.

    Args:
        now: the run.
        before: the baseline.
        reasons: why cells of the run failed, by name.
        unscored: by cell and record, why a sample of the run has no score.
        wrong: what contradicts itself in the run.
        missing: what the run was not asked for, in words.
    """
    ranking = list(compare_heads(now.heads, before))
    damaged = {finding.name for finding in wrong if finding.kind == "damaged"}
    settings, configured = compare_settings(now, before, damaged, missing)
    if settings:
        causes = [] if configured else [finding for finding in ranking if not finding.ok]
        return Report((*settings, *causes), ())
    findings, worse = compare_accuracy(now, before, reasons or {}, unscored or {})
    findings = [*wrong, *findings, *ranking, *compare_speed(now, before)]
    # of samples that lost as much, those that are no near-ties come first
    worst = sorted(worse, key=lambda one: (one.now - one.before, one.near_tie, one.cell, one.record))
    return Report(tuple(sorted(findings, key=lambda finding: (finding.ok, not finding.unclear))), tuple(worst))


def update(run: RunFolder, path: Path) -> tuple[Report | None, list[str]]:
    """Write the run as the new baseline, with the tolerances of the old one; (what that changes, None where there was
    none; sentences on cells that it adds or takes away, and on what of the run is not finished or cannot be judged by
    it).

    Raises:
        UserError: The run has nothing to compare, or contradicts itself.
    """
    old = load_baseline(path) if path.exists() else None
    new = snapshot(run, None if old is None else old.tolerances)
    if wrong := list(contradictions(run)):
        more = f", and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
        raise UserError(f"{run.path}: {wrong[0].name}: {wrong[0].text}{more}; expected a run as coreheads run wrote it")
    report = None if old is None else compare(new, old)
    save_baseline(path, new)
    known = {} if old is None else old.cells
    speeds = {name: cell.speed for name, cell in new.cells.items() if cell.speed is not None}
    notes = [
        _cells(known.keys() - new.cells.keys(), "The new baseline has no longer"),
        "" if old is None else _cells(new.cells.keys() - known.keys(), "The new baseline also has"),
        *(f"Not in it: {what}: {why}" for what, why in find_gaps(run, build_rows(run))),
        *(
            f"No speed can be judged by it: {name}: its interval is [{speed.low:.2f}, {speed.high:.2f}], as on a busy "
            "machine; time it again on an idle one"
            for name, speed in speeds.items()
            if too_wide(speed, new.tolerances.of(name))
        ),
    ]
    return report, [note for note in notes if note]


def _cells(names: Collection[str], what: str) -> str:
    return f"{what} {len(names)} cells: {', '.join(sorted(names))}" if names else ""
