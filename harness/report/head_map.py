"""The map of a model's heads as a chart: layers down, query heads across, selected ones outlined."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from coreheads.heads.profile import HeadProfile
from coreheads.report import palette
from coreheads.text import vega_title

FAINT, FULL = f"{palette.HEADS}0a", palette.HEADS
MARK = palette.KINDS["top"]
LEAST = 1e-300
"""Below this a difference is none: Vega divides by it."""
MEANING = {
    None: "RAM: share of a question word's attention that falls on the target",
    "vision": "RAM: share of the attention to pictures that falls on the target",
    "lift": "RAM lift: attention to the target, 1 = that of a uniform reader",
}


def meaning(profile: HeadProfile) -> str:
    """What the profile's numbers are, in words."""
    return MEANING[profile.normalization] if profile.score == "ram" else profile.score


def head_map(profile: HeadProfile, selected: int) -> alt.LayerChart:
    """RAM [layers, heads] as opacity of one colour, which works on any background; the first ``selected`` heads of the
    ranking are outlined, lines part the query heads that share a KV head. A layer's numbers stand in one data row:
    64 x 64 heads take about 120 kB."""
    ranks = {head: rank for rank, head in enumerate(profile.ranking(), 1)}
    layers, width = profile.shape
    known = profile.ci_low is not None
    lows, highs = (profile.mean if ends is None else ends for ends in (profile.ci_low, profile.ci_high))
    rows = [
        {
            "layer": layer,
            "head": list(range(width)),
            "ram": [_short(value) for value in profile.mean[layer]],
            "low": [_short(value) for value in lows[layer]],
            "high": [_short(value) for value in highs[layer]],
            "rank": [ranks[layer, head] for head in range(width)],
        }
        for layer in range(layers)
    ]
    grid: dict[str, Any] = {"labelOverlap": True, "labelSeparation": 4, "ticks": False, "domain": False}
    x = alt.X("head:O", title="query head", axis=alt.Axis(labelAngle=0, **grid))
    y = alt.Y("layer:O", title="layer", axis=alt.Axis(**grid))
    lowest, highest = (value if abs(value) > LEAST else 0.0 for value in (profile.mean.min(), profile.mean.max()))
    depth = alt.Scale(
        domain=[min(0.0, float(lowest)), float(highest if highest > lowest else lowest + 1)],
        range=[FAINT, FULL],
        interpolate="rgb",
    )
    tips = [
        alt.Tooltip("name:N", title="head"),
        alt.Tooltip("layer:O"),
        alt.Tooltip("ram:Q", title="RAM" if profile.score == "ram" else vega_title(profile.score)),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("rank:Q", title=f"rank of {profile.count}"),
        alt.Tooltip("chosen:N", title="outlined"),
    ]
    flat = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_flatten(["head", "ram", "low", "high", "rank"])
        .transform_calculate(
            name="'L' + datum.layer + 'H' + datum.head",
            interval="datum.low + ' to ' + datum.high" if known else "'none'",
            chosen=f"datum.rank <= {int(selected)} ? 'yes, among the first {int(selected)}' : 'no'",
        )
    )
    cells = flat.mark_rect(stroke="currentColor", strokeOpacity=0.12, strokeWidth=0.5).encode(
        x=x, y=y, color=alt.Color("ram:Q", scale=depth, title=vega_title(meaning(profile))), tooltip=tips
    )
    marks = (
        flat.transform_filter(f"datum.rank <= {int(selected)}")
        .mark_rect(filled=False, stroke=MARK, strokeWidth=2)
        .encode(x=x, y=y, tooltip=tips)
    )
    group = width // profile.model["kv_heads"]
    edges = [{"head": head} for head in range(group, width, group) if group > 1]
    parted = alt.Chart(alt.InlineData(values=edges)).mark_rule(color="currentColor", opacity=0.35, strokeWidth=0.8)
    says = f"{profile.model['id']}: RAM of {layers} layers x {width} heads, the first {selected} outlined"
    lines = parted.encode(x=alt.X("head:O", bandPosition=0))
    return alt.LayerChart(layer=[cells, lines, marks]).properties(
        height=layers * max(9, min(18, 560 // layers)), description=says
    )


def layer_shares(profile: HeadProfile) -> alt.Chart:
    """Each layer's share of the sum over all heads, in %: bars that stand beside the map."""
    held = np.maximum(profile.mean, 0)
    total = float(held.sum())
    share = 100 * held.sum(axis=1) / total if total > 0 else np.zeros(len(held))
    bars = alt.Chart(alt.InlineData(values=[{"layer": layer, "share": _short(v)} for layer, v in enumerate(share)]))
    chart: alt.Chart = bars.mark_bar(color=palette.KINDS["random"]).encode(
        x=alt.X("share:Q", title="layer, % of sum"), y=alt.Y("layer:O", title=None, axis=None)
    )
    return chart


def _short(value: Any) -> float:
    return float(f"{float(value):.2g}") if abs(value) < 0.1 else round(float(value), 3)
