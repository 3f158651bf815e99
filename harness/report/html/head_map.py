"""The map of a model's heads as a Vega-Lite specification: layers down, query heads across, selected ones outlined."""

from __future__ import annotations

from typing import Any

import altair as alt

from coreheads.heads.profile import HeadProfile
from coreheads.report import palette
from coreheads.report.html.specs import Spec, spec

FILL, MARK = palette.HEADS, palette.KINDS["top"]


def head_map(profile: HeadProfile, selected: int) -> Spec:
    """RAM [layers, heads] as opacity of one colour, which works on any background; the first ``selected`` heads of the
    ranking are outlined. A layer's numbers stand in one data row: 64 x 64 heads take about 120 kB."""
    ranks = {head: rank for rank, head in enumerate(profile.ranking(), 1)}
    layers, width = profile.shape
    rows = [
        {
            "layer": layer,
            "head": list(range(width)),
            "ram": [_short(value) for value in profile.mean[layer]],
            "low": [_short(value) for value in profile.ci_low[layer]],
            "high": [_short(value) for value in profile.ci_high[layer]],
            "rank": [ranks[layer, head] for head in range(width)],
        }
        for layer in range(layers)
    ]
    step = max(9, min(18, 560 // layers))
    x = alt.X(
        "head:O",
        title="query head",
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=4, ticks=False, domain=False),
    )
    y = alt.Y("layer:O", title="layer", axis=alt.Axis(labelOverlap=True, labelSeparation=4, ticks=False, domain=False))
    lowest, highest = float(profile.mean.min()), float(profile.mean.max())
    depth = alt.Scale(domain=[min(0.0, lowest), highest if highest > lowest else lowest + 1], range=[0.04, 1])
    tips = [
        alt.Tooltip("name:N", title="head"),
        alt.Tooltip("layer:O"),
        alt.Tooltip("ram:Q", title="RAM" if profile.score == "ram" else profile.score),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("rank:Q", title=f"rank of {profile.count}"),
        alt.Tooltip("chosen:N", title="outlined"),
    ]
    flat = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_flatten(["head", "ram", "low", "high", "rank"])
        .transform_calculate(
            name="'L' + datum.layer + 'H' + datum.head",
            interval="datum.low + ' to ' + datum.high",
            chosen=f"datum.rank <= {int(selected)} ? 'yes, among the first {int(selected)}' : 'no'",
        )
    )
    cells = flat.mark_rect(color=FILL, stroke="currentColor", strokeOpacity=0.12, strokeWidth=0.5).encode(
        x=x, y=y, fillOpacity=alt.FillOpacity("ram:Q", scale=depth, legend=None), tooltip=tips
    )
    marks = (
        flat.transform_filter(f"datum.rank <= {int(selected)}")
        .mark_rect(filled=False, stroke=MARK, strokeWidth=2)
        .encode(x=x, y=y, tooltip=tips)
    )
    says = f"{profile.model['id']}: RAM of {layers} layers x {width} heads, the first {selected} outlined"
    return spec(alt.layer(cells, marks), step * layers, says)


def _short(value: Any) -> float:
    return float(f"{float(value):.2g}") if abs(value) < 0.1 else round(float(value), 3)
