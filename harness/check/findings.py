"""What a comparison with a baseline found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["accuracy", "scorer", "ranking", "speed", "memory"]
WORST = 10
"""Samples that are shown with both answers."""


@dataclass(frozen=True)
class Finding:
    """One comparison. before, now: what was compared, None where it is missing. ok: False for a regression. text: what
    moved, and by how much it may. ci: 95 % interval of the change. p: of no change, paired by sample, two-sided, not
    corrected."""

    kind: Kind
    name: str
    before: float | None
    now: float | None
    ok: bool
    text: str
    ci: tuple[float, float] | None = None
    p: float | None = None

    @property
    def moved(self) -> bool:
        """Beyond the digits that a baseline keeps."""
        if self.before is None or self.now is None:
            return self.before is not self.now
        return abs(self.before - self.now) > 5e-4


@dataclass(frozen=True)
class Change:
    """A sample whose score changed: its scores and answers. near_tie: the first token was chosen by less than the
    tolerated margin, which another rounding may tip."""

    cell: str
    record: str
    before: float
    now: float
    answer_before: str
    answer_now: str
    near_tie: bool


@dataclass(frozen=True)
class Report:
    """All comparisons, regressions first, and all samples that got worse, the worst first."""

    findings: tuple[Finding, ...]
    worse: tuple[Change, ...]

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.ok]

    @property
    def shown(self) -> list[Finding]:
        """Regressions and everything else that moved."""
        return [finding for finding in self.findings if not finding.ok or finding.moved]

    @property
    def verdict(self) -> str:
        """One line that says how it stands."""
        failed = len(self.failed)
        word = f"{failed} regression{'s' * (failed > 1)}" if failed else "no regression"
        still = len(self.findings) - len(self.shown)
        return f"{word} in {len(self.findings)} comparisons; {still} did not move at all"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "ok": not self.failed,
            "verdict": self.verdict,
            "findings": [asdict(finding) for finding in self.findings],
            "worse": [asdict(change) for change in self.worse],
        }


def headings() -> tuple[str, ...]:
    return ("", "what", "baseline", "now", "change", "p (paired)", "")


def cells_of(finding: Finding, bad: str, good: str) -> tuple[str, ...]:
    """A finding as a table's row: as text for every form of report."""
    change = ""
    if finding.before is not None and finding.now is not None:
        change = f"{finding.now - finding.before:+.3f}"
        if finding.ci is not None:
            change += f" [{finding.ci[0]:+.3f}, {finding.ci[1]:+.3f}]"
    p = "" if finding.p is None else "<0.001" if finding.p < 0.001 else f"{finding.p:.3f}"
    mark = good if finding.ok else bad
    what = f"{finding.kind} {finding.name}"
    return mark, what, _number(finding.before), _number(finding.now), change, p, finding.text


def worst(changes: Sequence[Change]) -> list[Change]:
    """Those that lost most; of equal losses those that are no near-ties first."""
    return sorted(changes, key=lambda change: (change.now - change.before, change.near_tie, change.cell, change.record))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
