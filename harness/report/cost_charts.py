"""Score against what a method costs by count, which no machine changes: the work of the prefill, or the bytes of the
cache after it. A method that was never timed has its points here, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt

from coreheads.report import columns
from coreheads.report.chart_parts import (
    DASHES,
    HEIGHT,
    MANY,
    Point,
    close_heights,
    colour_of,
    front_names,
    height,
    rounded,
    tips_of,
    used,
)
from coreheads.report.columns import Line, change, condition_label, method, number
from coreheads.report.palette import INK
from coreheads.report.pareto import pareto
from coreheads.store.board import Overall, Row
from coreheads.text import vega_title

Cost = Literal["work", "kv"]
TITLES = {"work": "FLOPs of the prefill, over dense", "kv": "KV bytes after the prefill, over dense"}
"""Of the axis."""
SHORT = {"work": "work", "kv": "KV kept"}


def cost(line: Row | Overall, of: Cost) -> float | None:
    """What a line costs over dense; None where that was not counted, 1 for the dense model."""
    fields: Mapping[str, Any] = line
    counted = fields.get("work", fields.get("flops_ratio")) if of == "work" else fields.get("kv")
    if of == "kv" and "kv" not in fields:
        counted = columns.kv(line)  # type: ignore[arg-type]  # only a row has no field of that name
    return 1.0 if counted is None and line["patch"] == "none" else counted


def chart(lines: Sequence[Line], of: Cost, upwards: str, colours: Mapping[str, str], tall: int) -> alt.LayerChart:
    """Score against cost, a curve a method, the front as stairs, with its methods named; where keys were chosen before
    the question was read (``unseen``), points are hollow and curves dashed.

    Args:
        lines: of one model; those whose cost is not known are left out.
        of: the cost.
        upwards: the title of the scores.
        colours: of methods.
        tall: height in pixels.
    """
    known = [line for line in lines if cost(line, of) is not None]
    on_front = {id(line) for line in pareto(known, lambda line: -(cost(line, of) or 0.0))}
    points = [_point(line, of, id(line) in on_front) for line in known]
    edge, upright = 1.05 * max(1.0, *(point["x"] for point in points)), close_heights(points)
    x = alt.X("x:Q", title=TITLES[of], scale=alt.Scale(domain=[0, rounded(edge)], nice=False))
    y = alt.Y("y:Q", title=vega_title(upwards), scale=alt.Scale(domain=upright, nice=False))
    coloured = colour_of("method", used(colours, points))
    bars = 0.5 if len({point["method"] for point in points}) < MANY else 0.25
    steps: list[Point] = [{"x": p["x"], "y": p["y"]} for p in points if p["front"]]
    steps.sort(key=lambda p: (p["x"], p["y"]))
    stairs = [{"x": steps[0]["x"], "y": upright[0]}, *steps, {"x": rounded(edge), "y": steps[-1]["y"]}]
    tips = tips_of(
        what="condition", model="model", task="task", score="score", change="change", cost=SHORT[of],
        question="question", standing="Pareto front",
    )  # fmt: skip
    marks: list[Any] = [
        alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_rule(color=INK, opacity=0.25).encode(x=x),
        alt.Chart(alt.InlineData(values=stairs))
        .mark_line(color=INK, opacity=0.3, strokeWidth=1.5, interpolate="step-after")
        .encode(x=x, y=y),
    ]
    for hollow in (False, True):
        part = [point for point in points if (point["question"] == "unseen") == hollow]
        if part:
            base = alt.Chart(alt.InlineData(values=part))
            dash = DASHES if hollow else [1, 0]
            mark = base.mark_point(filled=not hollow, size=90, opacity=1, strokeWidth=2.5)
            marks += [
                base.mark_line(strokeWidth=2, opacity=0.7, strokeDash=dash).encode(x=x, y=y, color=coloured),
                base.mark_rule(strokeWidth=1.5, opacity=bars).encode(x=x, y=alt.Y("yl:Q"), y2="yh:Q", color=coloured),
                mark.encode(x=x, y=y, color=coloured, tooltip=tips),
            ]
    if tall > HEIGHT:  # there is no room for names in a small one
        marks += front_names(points, x, y, cheapest=True)
    about = f"{known[0]['model']}: score against {TITLES[of]}; the numbers stand in the tables"
    return alt.LayerChart(layer=marks).properties(height=tall, description=about)


def _point(line: Row | Overall, of: Cost, front: bool) -> Point:
    fields: Mapping[str, Any] = line
    spent = cost(line, of) or 0.0
    return {
        **height(line),
        "x": rounded(spent),
        "cost": number(spent),
        "question": fields.get("question") or "no eviction",
        "method": fields["method"] if "method" in fields else method(line),  # type: ignore[arg-type]
        "what": fields["condition"] if "condition" in fields else condition_label(line),  # type: ignore[arg-type]
        "model": line["model"],
        "task": fields["task"] if "task" in fields else f"mean of {len(fields['tasks'])}",
        "change": change(line) or "none: dense",
        "front": front,
        "standing": "on it" if front else "behind it",
    }
