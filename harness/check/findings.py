"""What a comparison with a baseline found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["settings", "damaged", "accuracy", "scorer", "ranking", "speed", "memory"]
NOT_KEPT = "(published without)"
"""In place of an answer."""
WORST = 10
"""Samples that are shown with both answers."""

HEADINGS = ("", "what", "baseline", "now", "change", "p (paired)", "")
"""Of :meth:`Finding.cells`."""
SAMPLE_HEADINGS = ("cell", "sample", "score", "answer of the baseline", "answer now")
"""Of :meth:`Change.cells`."""


@dataclass(frozen=True)
class Finding:
    """One comparison."""

    kind: Kind
    name: str
    """Of the cell, the condition, or what of a model's heads was compared."""
    before: float | None
    """In the baseline: a mean score, a correlation or overlap, or a ratio to dense; None where it is missing."""
    now: float | None
    """The same in the run."""
    ok: bool
    """False for a regression."""
    text: str
    """What moved, and by how much it may."""
    ci: tuple[float, float] | None = None
    """95 % interval of the change."""
    p: float | None = None
    """Of no change, paired by sample, two-sided, not corrected."""
    unclear: bool = False
    """It is no regression only because nothing can be told; the text says why."""

    @property
    def moved(self) -> bool:
        """Beyond the digits that a baseline keeps."""
        if self.before is None or self.now is None:
            return self.before is not self.now
        return abs(self.before - self.now) > 5e-4

    @property
    def change(self) -> str:
        """By how much it moved, with the interval; empty where one of the two is missing."""
        if self.before is None or self.now is None:
            return ""
        interval = "" if self.ci is None else f" [{self.ci[0]:+.3f}, {self.ci[1]:+.3f}]"
        return f"{self.now - self.before:+.3f}{interval}"

    @property
    def step(self) -> str:
        """From what to what; empty where there is neither."""
        if self.before is None and self.now is None:
            return ""
        return f"{_number(self.before)} -> {_number(self.now)}"

    def cells(self, bad: str, good: str, unclear: str) -> tuple[str, ...]:
        """As a table's row."""
        p = "" if self.p is None else "<0.001" if self.p < 0.001 else f"{self.p:.3f}"
        mark, what = bad if not self.ok else unclear if self.unclear else good, f"{self.kind} {self.name}"
        return mark, what, _number(self.before), _number(self.now), self.change, p, self.text


@dataclass(frozen=True)
class Change:
    """A sample whose score changed."""

    cell: str
    record: str
    before: float
    """Its score in the baseline, in units of the task's score."""
    now: float
    answer_before: str
    """``NOT_KEPT`` where it is not known."""
    answer_now: str
    near_tie: bool
    """The first token was chosen by less than the tolerated margin, which another rounding may tip."""

    def cells(self, arrow: str) -> tuple[str, ...]:
        """As a table's row."""
        score = f"{self.before:.2f} {arrow} {self.now:.2f}{' (near-tie)' if self.near_tie else ''}"
        return self.cell, self.record, score, self.answer_before, self.answer_now


@dataclass(frozen=True)
class Report:
    """All comparisons, regressions first, and all samples that got worse, the worst first."""

    findings: tuple[Finding, ...]
    worse: tuple[Change, ...]

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.ok]

    @property
    def unclear(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.unclear]

    @property
    def shown(self) -> list[Finding]:
        """Regressions, what cannot be told, and everything else that moved."""
        return [finding for finding in self.findings if not finding.ok or finding.unclear or finding.moved]

    @property
    def verdict(self) -> str:
        """One line that says how it stands."""
        failed = len(self.failed)
        word = f"{failed} regression{'s' * (failed > 1)}" if failed else "no regression"
        if any(finding.kind == "settings" for finding in self.failed):
            return "the run has other settings than the baseline"
        unclear = f"; {len(self.unclear)} cannot be told" if self.unclear else ""
        still = len(self.findings) - len(self.shown)
        return f"{word} in {len(self.findings)} comparisons{unclear}; {still} did not move at all"

    @property
    def worst_title(self) -> str:
        """Above the samples that are shown."""
        return f"Samples that lost most ({min(WORST, len(self.worse))} of {len(self.worse)})"

    def to_json(self) -> dict[str, object]:
        """The report as a file: the fields of Finding and Change by their names."""
        return {"schema_version": 1, "ok": not self.failed, "verdict": self.verdict, **asdict(self)}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
