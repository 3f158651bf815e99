"""The ablation curves: the score against the share of heads switched off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from coreheads.report.chart_parts import chart_of, colour_of, height, heights, scale_of, tips_of
from coreheads.report.columns import SELECTIONS, condition_label, kind_label
from coreheads.report.palette import INK, KINDS, OTHER
from coreheads.store.board import Row
from coreheads.text import vega_title

DASHES = {"layer_matched": [5, 3], "bottom": [2, 2]}


def ablation(curves: Sequence[Row], dense: Row | None) -> alt.LayerChart:
    """Score against the share of heads switched off, a line a selection with its interval.

    Args:
        curves: rows of one model and task, with a fraction.
        dense: its dense row, where it is known.
    """
    names = [name for name in SELECTIONS if any(row["selection"] == name for row in curves)]
    widest = max(row["fraction"] or 0.0 for row in curves)
    points = []
    for index, name in enumerate(names):
        # equal scores would hide each other: the curves stand a little apart
        aside = (index - (len(names) - 1) / 2) * widest * 0.6
        curve = sorted((row for row in curves if row["selection"] == name), key=lambda row: row["fraction"] or 0.0)
        for row in curve if dense is None else [dense, *curve]:
            off = 0 if row is dense else round(100 * (row["fraction"] or 0.0) + aside, 3)
            label = {"kind": kind_label(name), "what": condition_label(row), "heads": row["heads"]}
            points.append({**height(row), "x": off, **label})
    x = alt.X("x:Q", title="% of heads switched off", scale=alt.Scale(domain=[0, 105 * widest], nice=False))
    y = alt.Y(
        "y:Q", title=vega_title(f"score ({curves[0]['metric']})"), scale=alt.Scale(domain=heights(points), nice=False)
    )
    coloured = colour_of("kind", _of_kinds(names))
    dashes = scale_of({kind_label(name): DASHES.get(name, [1, 0]) for name in names})
    base = alt.Chart(alt.InlineData(values=points))
    tips = tips_of(what="condition", heads="heads off", score="score")
    layers: list[Any] = [
        base.mark_area(opacity=0.13).encode(x=x, y=alt.Y("yl:Q"), y2="yh:Q", color=coloured),
        base.mark_line(strokeWidth=2).encode(
            x=x, y=y, color=coloured, strokeDash=alt.StrokeDash("kind:N", legend=None, scale=dashes)
        ),
        base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=coloured, tooltip=tips),
    ]
    if dense is not None:
        level = alt.Chart(alt.InlineData(values=[height(dense)]))
        layers.insert(0, level.mark_rule(color=INK, strokeDash=[4, 4], opacity=0.6).encode(y=y))
    return chart_of(layers, curves, "score against the share of heads switched off")


def _of_kinds(kinds: Sequence[str]) -> dict[str, str]:
    return {kind_label(name): INK if name == "dense" else KINDS.get(name, OTHER) for name in kinds}
