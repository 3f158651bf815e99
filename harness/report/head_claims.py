"""What the paper says of the heads themselves, judged by what a board says of head profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from coreheads.report.columns import p_value
from coreheads.store.board import Claim, HeadsSummary, TopHeads, Verdict

SHARE = 0.5
"""Few heads hold most of the mass: more than this share."""
SHARED, UNSHARED = 0.75, 0.5
"""Halves of the samples find the same heads: at least this share of them; not the same: less than the other."""
TIMES = 10
"""The top heads look at the place: the median of their RAM is at least so many times that of the others'."""
MIDDLE = 1 / 3
"""Where middle layers begin, as a share of the depth."""
MODELS, CHANCE = 4, 0.05
"""From so many models on depth and size are compared; how probable their order may be by chance."""
OFF = 0.05
"""Share of heads that the statements speak of; the nearest that a board has is judged, and named."""

STATEMENTS = (
    "Few heads hold most of the retrieval attention mass (RAM)",
    "Halves of the samples find the same heads",
    "They look at the place that is asked about, the others do not",
    "They sit in middle to late layers",
)
SCALE = "They sit later in larger models"

Judged = tuple[Verdict, str, str]
"""(verdict, figures, the test behind it)."""


def judged(summary: HeadsSummary | None) -> Iterator[Judged]:
    """A verdict for each of ``STATEMENTS``; summary: of the profile by RAM, None where there is none."""
    top = nearest(summary) if summary else None
    if summary is None or top is None:
        missing: Judged = "not tested here", "no head profile", ""
        yield from (missing,) * len(STATEMENTS)
        return
    named = f"the top {100 * top['fraction']:g} % ({top['count']} of {summary['count']})"
    yield (
        "holds" if top["share"] > SHARE else "does not",
        f"{named} hold {100 * top['share']:.0f} %",
        f"share above {100 * SHARE:.0f} %",
    )
    yield _of_halves(top, summary, named)
    yield _of_place(top, summary, named)
    depth = top.get("depth")
    if depth is None:
        yield "not tested here", "no depth is known", ""
    else:
        figures = f"{named}: mean relative depth {depth:.2f}, weighted by RAM"
        yield "holds" if depth >= MIDDLE else "does not", figures, f"0 first layer, 1 last; at least {MIDDLE:.2f}"


def _of_halves(top: TopHeads, summary: HeadsSummary, named: str) -> Judged:
    shared = top.get("shared")
    if shared is None:
        return "not tested here", "the profile does not say", ""
    by_chance = top["count"] / summary["count"]
    figures = f"{100 * shared:.0f} % of {named} in common, by chance {100 * by_chance:.0f} %"
    test = (
        f"random halves of {summary['samples']} samples: {100 * SHARED:.0f} % or more; not below {100 * UNSHARED:.0f} %"
    )
    return "holds" if shared >= SHARED else "does not" if shared < UNSHARED else "cannot tell", figures, test


def _of_place(top: TopHeads, summary: HeadsSummary, named: str) -> Judged:
    scores, others = top.get("scores"), top.get("others")
    if not scores or others is None:
        return "not tested here", "the board does not say", ""
    middle = median(scores)
    figures = (
        f"RAM of {named}: median {middle:.2f}, {min(scores):.2g} to {max(scores):.2g}; "
        f"of the other {summary['count'] - len(scores)}: median {others:.2g}"
    )
    close, far = top.get("concentration"), top.get("others_concentration")
    if close and far is not None:
        figures += f"; concentration, median {median(close):.2f}, of the others {far:.2f}"
    verdict: Verdict = "holds" if middle >= TIMES * max(others, 0.0) and middle > 0 else "does not"
    return verdict, figures, f"medians: at least {TIMES} times"


def scale(summaries: Sequence[HeadsSummary]) -> Claim | None:
    """The statement on depth and size over all models of a board; None where there is but one.

    Spearman's rank correlation of the top heads' relative depth with the number of all heads, against every order of
    the models (one-sided).
    """
    known = [
        (summary, top["depth"]) for summary in summaries if (top := nearest(summary)) and top.get("depth") is not None
    ]
    if len({summary["model"] for summary, _ in known}) < 2:
        return None
    named = sorted(known, key=lambda pair: pair[0]["count"])
    figures = "; ".join(f"{summary['model']} ({summary['count']} heads) {depth:.2f}" for summary, depth in named)
    sizes, depths = [summary["count"] for summary, _ in named], [depth or 0.0 for _, depth in named]
    test = f"order of depth and size over {MODELS} models or more: p at most {CHANCE:g} (all permutations)"
    verdict: Verdict = "cannot tell"
    if len(named) >= MODELS and len({*sizes}) > 1 and len({*depths}) > 1:
        correlation, chance = _ordered(sizes, depths)
        figures += f"; rank correlation {correlation:.2f}, p {p_value(chance)}"
        verdict = "holds" if chance <= CHANCE else "does not" if correlation <= 0 else "cannot tell"
    return {"run": "", "model": "all models", "claim": SCALE, "verdict": verdict, "figures": figures, "test": test}


def _ordered(sizes: Sequence[float], depths: Sequence[float]) -> tuple[float, float]:
    from scipy.stats import permutation_test, spearmanr

    found = permutation_test(
        (depths,), lambda order: spearmanr(order, sizes).statistic, permutation_type="pairings", vectorized=False,
        alternative="greater", rng=0,
    )  # fmt: skip
    return float(found.statistic), float(found.pvalue)


def nearest(summary: HeadsSummary) -> TopHeads | None:
    """Of a profile's fractions the one that the statements speak of."""
    return min(summary["top"], key=lambda entry: abs(entry["fraction"] - OFF), default=None)
