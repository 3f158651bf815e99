"""The top heads of a profile one by one, and where a model's heads sit: what stands beside the map."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

import altair as alt
import numpy as np

from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import head_name
from coreheads.report.chart_parts import HEIGHT, colour_of, rounded, tips_of
from coreheads.report.intervals import interval
from coreheads.report.palette import by_model

MOST = 12
"""How many heads are named."""


def table(
    profile: HeadProfile, fraction: float, spread: HeadProfile | None = None
) -> tuple[list[str], list[list[str]]]:
    """(headings, lines): the leading heads with their score, then the median of all that are not among the top.

    Args:
        profile: by RAM, or another score.
        fraction: which heads are the top ones.
        spread: of the same model by concentration, where the run has one.
    """
    chosen, name = profile.top(fraction), "RAM" if profile.score == "ram" else profile.score
    names = ["head", "relative depth", f"{name} (localisation)" if name == "RAM" else name, "share of all"]
    if spread is not None and spread.shape != profile.shape:
        spread = None
    lines = []
    for head in profile.ranking()[: min(MOST, len(chosen))]:
        low, high = profile.ci_low, profile.ci_high
        ends = None if low is None or high is None else (float(low[head]), float(high[head]))
        cells = [head_name(head), f"{_depth(profile, head[0]):.2f}", interval(float(profile.mean[head]), ends, 3)]
        cells.append(f"{100 * profile.share(frozenset({head})):.1f} %")
        lines.append([*cells, *([f"{spread.mean[head]:.2f}"] if spread is not None else [])])
    others = [head for head in np.ndindex(profile.shape) if head not in chosen]
    if others:
        cells = [
            f"median of the other {len(others)}",
            "",
            f"{median(float(profile.mean[head]) for head in others):.3f}",
        ]
        cells.append(f"{100 * (1 - profile.share(chosen)):.1f} % together")
        lines.append(
            [*cells, *([f"{median(float(spread.mean[head]) for head in others):.2f}"] if spread is not None else [])]
        )
    return [*names, *(["concentration"] if spread is not None else [])], lines


def depths(profiles: Mapping[str, HeadProfile]) -> alt.LayerChart:
    """For every model the share of all RAM that lies in the layers up to a relative depth, a curve each.

    Args:
        profiles: by RAM, by what a board calls the model; layers are set on one scale, 0 the first, 1 the last.
    """
    points = []
    for model, profile in profiles.items():
        held = profile.mean.clip(min=0).sum(axis=1)
        total = float(held.sum()) or 1.0
        for layer, share in enumerate(np.cumsum(held) / total):
            depth = _depth(profile, layer)
            points.append({"model": model, "x": rounded(depth), "y": rounded(float(share)),
                           "layer": f"{layer} of {profile.shape[0]}", "share": f"{100 * share:.0f} %"})  # fmt: skip
    base = alt.Chart(alt.InlineData(values=points))
    axis = alt.Axis(format="%")
    encoded = {
        "x": alt.X("x:Q", title="relative depth (0 the first layer, 1 the last)", scale=alt.Scale(domain=[0, 1])),
        "y": alt.Y("y:Q", title="share of all RAM up to there", axis=axis, scale=alt.Scale(domain=[0, 1])),
        "color": colour_of("model", by_model(list(profiles))),
    }
    tips = tips_of(model="model", layer="layer", share="RAM up to it")
    lines = base.mark_line(strokeWidth=2, interpolate="step-after").encode(**encoded)
    dots = base.mark_point(filled=True, size=30, opacity=1).encode(**encoded, tooltip=tips)
    about = "For every model the share of all RAM in the layers up to a relative depth"
    return alt.LayerChart(layer=[lines, dots]).properties(height=HEIGHT, description=about)


def _depth(profile: HeadProfile, layer: int) -> float:
    return layer / max(1, profile.shape[0] - 1)
