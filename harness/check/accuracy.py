"""Scores of a run against those of its baseline, sample by sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from coreheads.check.baseline import Baseline, CellRecord
from coreheads.check.findings import NOT_KEPT, Change, Finding
from coreheads.check.tolerances import Tolerances
from coreheads.stats.significance import holm, paired_delta

SAME = 1e-6
"""Scores nearer to each other than this are the same."""


@dataclass
class _Pairs:
    """Samples that the baseline and the run both have, of one cell or of all of one condition."""

    name: str
    tolerances: Tolerances
    before: list[float] = field(default_factory=list)
    now: list[float] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def near_ties(self) -> int:
        return sum(change.near_tie for change in self.changes)

    def one_sided(self) -> None:
        """Have near-ties count after all where chance would not make so many of them worse and so few better."""
        from scipy.stats import binomtest

        tipped = [change for change in self.changes if change.near_tie]
        worse = sum(change.now < change.before for change in tipped)
        if tipped and binomtest(worse, len(tipped), 0.5, "greater").pvalue < self.tolerances.alpha:
            self.changes = [replace(change, near_tie=False) for change in self.changes]

    @property
    def worse(self) -> int:
        """Samples that got worse and were no near-ties."""
        return sum(change.now < change.before and not change.near_tie for change in self.changes)

    @property
    def drop(self) -> float:
        """How far the mean fell without the near-ties."""
        lost = sum(change.before - change.now for change in self.changes if not change.near_tie)
        return lost / len(self.before)

    def tail(self) -> float:
        """How likely rounding alone makes so many worse."""
        from scipy.stats import binom

        return float(binom.sf(self.worse - 1, len(self.before) - self.near_ties, self.tolerances.noise))

    def finding(self, tail: float) -> Finding:
        """tail: corrected for all cells."""
        ok = self.drop <= self.tolerances.score_drop + 1e-9 or tail >= self.tolerances.alpha
        better = sum(change.now > change.before and not change.near_tie for change in self.changes)
        text = f"{self.worse} of {len(self.before)} samples worse, {better} better"
        if self.near_ties:
            text += f", {self.near_ties} more near-ties"
        if self.drop > self.tolerances.score_drop + 1e-9:
            text += f"; may fall by {self.tolerances.score_drop:g}"
            text += f", {'too few to tell' if ok else 'too many'} from rounding (p {tail:.2g}, corrected)"
        delta, low, high, p = paired_delta(self.now, self.before) if self.changes else (0.0, 0.0, 0.0, 1.0)
        was = sum(self.before) / len(self.before)
        return Finding("accuracy", self.name, was, was + delta, ok, text, (low, high), p)


def compare_accuracy(
    now: Baseline, before: Baseline, reasons: Mapping[str, str], unscored: Mapping[str, Mapping[str, str]]
) -> tuple[list[Finding], list[Change]]:
    """(findings, samples that got worse).

    A cell fails where it lost more than tolerated *and* so many samples got worse that rounding would do so in fewer
    than ``alpha`` of all runs: their number is binomial with ``noise``, its tail Holm-corrected over all cells and
    conditions. Few samples can hardly show a loss, so the cells of one condition are also judged together.

    Args:
        now: the run.
        before: the baseline, which also says what is tolerated.
        reasons: why cells of the run failed, by name.
        unscored: by cell and record, why a sample of the run has no score.
    """
    findings: list[Finding] = []
    pairs: list[_Pairs] = []
    conditions: dict[str, list[_Pairs]] = defaultdict(list)
    for name, old in before.cells.items():
        new = now.cells.get(name)
        if new is None:
            text = f"the cell is missing{': ' + reasons[name] if name in reasons else ''}"
            findings.append(Finding("accuracy", name, _mean(old), None, False, text))
            continue
        own = _pairs(name, old, new, before.tolerances.of(name))
        findings += _other_scorer(name, old, new)
        findings += _missing(name, old, new, unscored.get(name, {}))
        if own.before:
            own.one_sided()
            pairs.append(own)
            conditions[old.condition].append(own)
    for condition, members in conditions.items():
        # cells with tolerances of their own are judged by them alone
        alike = [member for member in members if member.tolerances == before.tolerances.of(condition)]
        if len(alike) > 1:
            together = _Pairs(f"{condition} (together)", before.tolerances.of(condition))
            for member in alike:
                together.before += member.before
                together.now += member.now
                together.changes += member.changes
            pairs.append(together)
    tails = holm([one.tail() for one in pairs])
    for one, tail in zip(pairs, tails, strict=True):
        assert tail is not None
        findings.append(one.finding(tail))
        if one.name in before.cells:
            significant = tail < one.tolerances.alpha
            findings += _aggregates(one.name, before.cells[one.name], now.cells[one.name], one.tolerances, significant)
    changes = [change for members in conditions.values() for one in members for change in one.changes]
    return findings, [change for change in changes if change.now < change.before]


def _pairs(name: str, old: CellRecord, new: CellRecord, tolerances: Tolerances) -> _Pairs:
    pairs = _Pairs(name, tolerances)
    for record, (score, answer, margin) in old.samples.items():
        if record not in new.samples:
            continue
        other, reply, _ = new.samples[record]
        pairs.before.append(score)
        pairs.now.append(other)
        if abs(score - other) > SAME:
            near = not _same_answer(answer, reply) and margin is not None and margin <= tolerances.near_tie
            was, is_now = (NOT_KEPT if text is None else text for text in (answer, reply))
            pairs.changes.append(Change(name, record, score, other, was, is_now, near))
    return pairs


def _same_answer(one: str | None, other: str | None) -> bool:
    """Whether it is known to be the same."""
    return one is not None and one == other


def _other_scorer(name: str, old: CellRecord, new: CellRecord) -> Iterator[Finding]:
    """The same answers must have the same scores: anything else is another scorer, whichever way it errs."""
    if (new.metric, new.variant) != (old.metric, old.variant):
        scorers = [f"{cell.metric} ({cell.variant})" if cell.variant else cell.metric for cell in (new, old)]
        text = "scored by {}, the baseline by {}".format(*scorers)
        yield Finding("scorer", name, _mean(old), _mean(new), False, text)
    both = [key for key in old.samples if key in new.samples]
    same = [key for key in both if _same_answer(old.samples[key][1], new.samples[key][1])]
    changed = [key for key in same if abs(old.samples[key][0] - new.samples[key][0]) > SAME]
    if changed:
        first = changed[0]
        was, is_now = old.samples[first][0], new.samples[first][0]
        text = f"{len(changed)} of {len(same)} unchanged answers score otherwise, as {first}: {was:g}, now {is_now:g}"
        yield Finding("scorer", name, _mean(old), _mean(new), False, text)


def _missing(name: str, old: CellRecord, new: CellRecord, unscored: Mapping[str, str]) -> Iterator[Finding]:
    gone = [key for key in old.samples if key not in new.samples]
    if gone:
        reason = next((f": {unscored[key]}" for key in gone if key in unscored), "")
        text = f"{len(gone)} of {len(old.samples)} samples are missing, as {gone[0]}{reason}"
        yield Finding("accuracy", name, _mean(old), None, False, text)


def _aggregates(
    name: str, old: CellRecord, new: CellRecord, tolerances: Tolerances, significant: bool
) -> Iterator[Finding]:
    """Scores of a whole set that are no means: they are comparable where the samples are the same, and a fall counts
    where more samples got worse than rounding explains."""
    if old.samples.keys() != new.samples.keys():
        return
    for key, value in old.aggregates.items():
        if key in new.aggregates:
            fell = value - new.aggregates[key]
            ok = fell <= tolerances.score_drop + 1e-9 or not significant
            text = f"of the whole set; may fall by {tolerances.score_drop:g}"
            yield Finding("accuracy", f"{name}: {key}", value, new.aggregates[key], ok, text)


def _mean(cell: CellRecord) -> float:
    return sum(score for score, _, _ in cell.samples.values()) / len(cell.samples)
