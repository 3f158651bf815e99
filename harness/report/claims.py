"""The paper's statements one by one, and what a board says of each: it holds, it does not, the board cannot tell, or it
was not tested. Every verdict follows from an interval and a margin that are named beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from coreheads.report import head_claims
from coreheads.report.columns import grouped, p_value, ratio
from coreheads.report.head_claims import OFF, Judged
from coreheads.report.intervals import interval, none_seen
from coreheads.store.board import Claim, HeadsSummary, Row, Verdict
from coreheads.store.fields import Plain

BROKEN = 0.1
"""Heads off break the answers: the change is at least so far below zero."""
HARDLY = 0.05
"""Heads off hardly matter: the change is within this of zero."""
KEPT = 0.02
"""The score is kept: the change is above minus this."""
FULL = 0.1
"""Share of heads that the statements on hybrid attention speak of; the nearest on a board is judged, and named."""

STATEMENTS = (
    *head_claims.STATEMENTS,
    "Without the top heads the answers break",
    "Without low-ranked heads they hardly change",
    "Without as many random heads they hardly change",
    "Hybrid attention with the top heads full keeps the score",
    "Hybrid attention is faster",
)
"""What is judged, in this order."""


class Estimate(NamedTuple):
    """A mean over tasks with its 95 % interval."""

    mean: float
    low: float
    high: float
    tasks: int

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


def claims(rows: Sequence[Row], heads: Iterable[HeadsSummary]) -> list[Claim]:
    """The statements for every model of every run, as a board's ``rows`` and ``heads`` have it."""
    summaries = {(s["run"], s["model"]): s for s in heads if s.get("score", "ram") == "ram"}
    groups = {place: list(filter(_judged, of_model)) for place, of_model in grouped(rows, "run", "model").items()}
    found: list[Claim] = []
    for run, model in dict.fromkeys([*groups, *summaries]):
        verdicts = [
            *head_claims.judged(summaries.get((run, model))),
            *_of_ablation(groups.get((run, model), [])),
            *_of_hybrid(groups.get((run, model), [])),
        ]
        for statement, (verdict, figures, test) in zip(STATEMENTS, verdicts, strict=True):
            found.append({"run": run, "model": model, "claim": statement, "verdict": verdict, "figures": figures,
                          "test": test})  # fmt: skip
    if (scale := head_claims.scale(list(summaries.values()))) is not None:
        found.insert(0, scale)
    return found


def table(found: Iterable[Claim]) -> tuple[list[str], list[list[str]]]:
    """(headings, lines) of claims."""
    names = ["model", "claim", "verdict", "figures", "test"]
    return names, [
        [entry["model"], entry["claim"], entry["verdict"], entry["figures"], entry["test"]] for entry in found
    ]


def pooled(values: Sequence[float], bounds: Sequence[Sequence[float] | None]) -> Estimate:
    """The mean of independent estimates with an interval made of theirs, which need not be symmetric.

    The distances to their ends are added as squares (MOVER, Zou & Donner 2008). An estimate without an interval makes
    the pooled one endless: nothing can be told from it.
    """
    mean = fmean(values)
    if any(ends is None for ends in bounds):
        return Estimate(mean, -math.inf, math.inf, len(values))
    known = [ends for ends in bounds if ends is not None]
    below = math.hypot(*(value - ends[0] for value, ends in zip(values, known, strict=True))) / len(values)
    above = math.hypot(*(ends[1] - value for value, ends in zip(values, known, strict=True))) / len(values)
    return Estimate(mean, mean - below, mean + above, len(values))


def _judged(row: Row) -> bool:
    return row.get("on") is None and row.get("head_score") in (None, "ram")


def _nearest(sizes: Iterable[float], wanted: float) -> float | None:
    return min(sizes, key=lambda size: abs(size - wanted), default=None)


def _of_ablation(rows: Sequence[Row]) -> Iterator[Judged]:
    off = [row for row in rows if row["patch"] == "ablate" and row["delta"] is not None]
    for selection in ("top", "bottom", "random"):
        chosen = [row for row in off if row["selection"] == selection]
        hidden = [row for row in chosen if row["params"].get("mode") == "vision"]
        chosen = hidden or [row for row in chosen if row["params"].get("mode", "zero") == "zero"]
        how = "the picture hidden from them" if hidden else "zeroed, which may break a model for other reasons"
        share = _nearest({row["fraction"] or 0.0 for row in chosen}, OFF)
        chosen = [row for row in chosen if row["fraction"] == share]
        if share is None:
            yield "not tested here", f"no {selection} heads were switched off", ""
            continue
        change = pooled([row["delta"] or 0.0 for row in chosen], [row["delta_ci"] for row in chosen])
        figures = f"{selection} {100 * share:g} % off ({how}): change {_shown(change, chosen)}"
        if selection == "top":
            largest = max((row["p_value"] for row in chosen if row["p_value"] is not None), default=None)
            known = f", largest p {p_value(largest)}" if largest is not None else ""
            verdict = _above(Estimate(-change.mean, -change.high, -change.low, change.tasks), BROKEN)
            yield verdict, figures + known, f"paired by sample: interval below {-BROKEN:g}"
        else:
            yield _within(change, HARDLY), figures, f"equivalence: interval within {-HARDLY:g} and {HARDLY:g}"


def _of_hybrid(rows: Sequence[Row]) -> Iterator[Judged]:
    top = [row for row in rows if row["patch"] == "hybrid" and row["selection"] == "top"]
    timed = [row for row in top if row["prefill_speedup"]]
    scored = [row for row in top if row["delta"] is not None]
    share = _nearest({row["fraction"] or 0.0 for row in timed or scored}, FULL)
    same = _of_one_setting([row for row in timed or scored if row["fraction"] == share])
    kept = [row for row in scored if row["fraction"] == share and row["params"] == same]
    if kept:
        change = pooled([row["delta"] or 0.0 for row in kept], [row["delta_ci"] for row in kept])
        figures = f"top {100 * (share or 0):g} % full: change {_shown(change, kept)}"
        yield _above(change, -KEPT), figures, f"non-inferiority, paired by sample: lower end above {-KEPT:g}"
    else:
        yield "not tested here", "no hybrid row with top heads", ""
    fast = [row for row in timed if row["fraction"] == share and row["params"] == same]
    if not fast:
        yield "not tested here", "no hybrid row with top heads was timed", ""
        return
    ends = [row["prefill_speedup_ci"] for row in fast]
    logs = [[math.log(end) for end in pair] if pair else None for pair in ends]
    log = pooled([math.log(row["prefill_speedup"] or 1.0) for row in fast], logs)
    speed = Estimate(math.exp(log.mean), math.exp(log.low), _exp(log.high), log.tasks)
    tokens = sorted({row["timed_tokens"] or 0 for row in fast})
    at = f"{tokens[0]:,}" if len(tokens) == 1 else f"{tokens[0]:,} to {tokens[-1]:,}"
    figures = f"top {100 * (share or 0):g} % full: prefill {_ratio(speed)}, {_tasks(speed)}, {at} tokens"
    yield _above(speed, 1.0), figures, "timed in turns with dense: lower end above 1"


def _of_one_setting(rows: Sequence[Row]) -> Mapping[str, Plain] | None:
    """The sink and window that most tasks have: a task under two of them would count twice."""
    settings = [row["params"] for row in rows]
    return max(settings, key=settings.count, default=None)


def _above(estimate: Estimate, margin: float) -> Verdict:
    """Whether the whole interval lies above, the whole below, or neither."""
    return "holds" if estimate.low > margin else "does not" if estimate.high <= margin else "cannot tell"


def _within(estimate: Estimate, margin: float) -> Verdict:
    """Whether the whole interval lies within the margin of zero, the whole outside, or neither."""
    if -margin <= estimate.low and estimate.high <= margin:
        return "holds"
    return "does not" if estimate.high < -margin or estimate.low > margin else "cannot tell"


def _shown(estimate: Estimate, rows: Sequence[Row]) -> str:
    bounds = estimate.bounds if math.isfinite(estimate.low) else None
    bound = none_seen(bounds, len(rows) * min(row.get("alike") or 0 for row in rows))
    return f"{interval(estimate.mean, bounds, sign=True)}{bound}, {_tasks(estimate)}"


def _ratio(speed: Estimate) -> str:
    return ratio(speed.mean, speed.bounds if math.isfinite(speed.high) else None)


def _tasks(estimate: Estimate) -> str:
    return f"mean of {estimate.tasks} task{'s' * (estimate.tasks > 1)}"


def _exp(value: float) -> float:
    return math.exp(value) if math.isfinite(value) else math.inf
