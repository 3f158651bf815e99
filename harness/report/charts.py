"""The board's charts, made by Altair for the page and for pictures: the trade-offs. Text and axes take
the colour of what is around them, so that light and dark need no second drawing; data holds only what is drawn.
A legend is shown where the configuration of the page or picture has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from coreheads.report.chart_parts import (
    MANY,
    Point,
    chart_of,
    close_heights,
    colour_of,
    front_names,
    height,
    heights,
    padded,
    rounded,
    scale_of,
    tips_of,
    used,
)
from coreheads.report.columns import change, condition_label, grouped, kind_label, method, ratio, speed, whole
from coreheads.report.palette import INK, SHAPES, by_method, by_model, kind
from coreheads.report.pareto import pareto
from coreheads.store.board import Overall, Row
from coreheads.text import vega_title

TALL = 420
"""Of the chart over all tasks."""


def overall(lines: Sequence[Overall], colours: Mapping[str, str]) -> alt.LayerChart:
    """Mean score against mean prefill speedup of what is timed on all tasks of one model, a curve a method."""
    on_front = {id(line) for line in pareto(lines)}
    points = [_overall_point(line, id(line) in on_front) for line in lines]
    about = f"{lines[0]['model']}, mean over tasks: score against prefill speedup; the numbers stand in the ranking"
    layers = _plane(points, "score (mean over tasks)", colour_of("method", used(colours, points)), close=True)
    return alt.LayerChart(layer=layers).properties(height=TALL, description=about)


def tradeoff(
    rows: Sequence[Row],
    models: Sequence[str] = (),
    colours: Mapping[str, str] | None = None,
    beside: Sequence[Row] = (),
) -> alt.LayerChart:
    """Score against prefill speedup of the timed rows of one axis, with intervals, the front and the ceilings.

    models: give all of the board's to compare those that are in ``rows``; then colours are of models, shapes of kinds,
    each model has its own front, and ceilings are left to the charts of single models. Else a method is a curve.
    colours: of methods; by default of those that are here.
    beside: timed rows of the charts beside it, with which it shares its axis of speedups.
    """
    on_front = {id(row) for part in grouped(rows, "model").values() for row in pareto(part)}
    points = [_point(row, id(row) in on_front) for row in rows]
    if models:
        coloured = colour_of("model", by_model(list(models)))
        kinds = {kind_label(name): SHAPES.get(name, "square") for name in dict.fromkeys(map(kind, rows))}
        shape = alt.Shape("kind:N", scale=scale_of(kinds))
        layers = _plane(points, f"score ({rows[0]['metric']})", coloured, shape=shape)
    else:
        coloured = colour_of("method", used(colours or by_method(map(method, rows)), points))
        ceilings = [point for point in points if point["at"] is not None]
        layers = _plane(points, f"score ({rows[0]['metric']})", coloured, ceilings, wide=_speeds(beside))
    return chart_of(layers, rows, "score against prefill speedup")


def _plane(
    points: Sequence[Point],
    upwards: str,
    coloured: alt.Color,
    ceilings: Sequence[Point] = (),
    shape: alt.Shape | None = None,
    close: bool = False,
    wide: Sequence[float] = (),
) -> list[Any]:
    """The layers of a trade-off. upwards: the title of the scores. shape: given where models are compared. close: the
    axis spans what the scores do, and the methods of the front are named. wide: speedups that the axis holds, too."""
    across = [value for p in points for value in (p["x"], p["xl"], p["xh"])] + [point["at"] for point in ceilings]
    width, upright = padded([*across, *wide, 1.0], 0.06), close_heights(points) if close else heights(points)
    front = [
        step | {"model": model}
        for model in dict.fromkeys(point["model"] for point in points)
        for step in _stairs([p for p in points if p["front"] and p["model"] == model], width[0], upright[0])
    ]
    across_title = "prefill speedup over the fastest dense kernel (x)"
    x = alt.X("x:Q", title=across_title, scale=alt.Scale(domain=width, nice=False, zero=False))
    y = alt.Y("y:Q", title=vega_title(upwards), scale=alt.Scale(domain=upright, nice=False))
    tips = tips_of(
        what="condition", model="model", task="task", score="score", change="change", speed="prefill speedup",
        ceiling="ceiling", tokens="timed tokens", device="device", run="run", standing="Pareto front",
    )  # fmt: skip
    stairs = alt.Chart(alt.InlineData(values=front)).mark_line(
        color=INK, opacity=0.6 if shape else 0.3, strokeWidth=1.5, interpolate="step-before"
    )
    base = alt.Chart(alt.InlineData(values=list(points)))
    bars = 0.5 if len({point.get("method") for point in points}) < MANY else 0.25
    # a curve for every method with several points
    curves = [] if shape else [base.mark_line(strokeWidth=2, opacity=0.7).encode(x=x, y=y, color=coloured)]
    return [
        alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_rule(color=INK, opacity=0.25).encode(x=x),
        *_ceiling_lines(ceilings, coloured),
        stairs.encode(x=x, y=y, color=coloured if shape else alt.Undefined),
        *curves,
        base.mark_rule(strokeWidth=1.5, opacity=bars).encode(x=alt.X("xl:Q"), x2="xh:Q", y=y, color=coloured),
        base.mark_rule(strokeWidth=1.5, opacity=bars).encode(x=x, y=alt.Y("yl:Q"), y2="yh:Q", color=coloured),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, y=y, color=coloured, tooltip=tips, shape=shape or alt.Undefined
        ),
        *(front_names(points, x, y) if close else ()),
    ]


def _speeds(rows: Sequence[Row]) -> list[float]:
    """All that the axis of these rows must hold."""
    found = [
        value for row in rows for value in (row["prefill_speedup"], *(row["prefill_speedup_ci"] or ()), row["ceiling"])
    ]
    return [rounded(value) for value in found if value is not None]


def _ceiling_lines(ceilings: Sequence[Point], coloured: alt.Color) -> list[Any]:
    if not ceilings:
        return []
    above, x = alt.Chart(alt.InlineData(values=list(ceilings))), alt.X("at:Q")
    tips = tips_of(what="ceiling of", ceiling="ceiling", tokens="timed tokens", device="device")
    # one alone stands out; of many, one for each selection, none shall hide the points
    width, opacity = (2, 0.9) if len(ceilings) < 3 else (1, 0.6)
    return [
        above.mark_rule(strokeDash=[3, 3], strokeWidth=width, opacity=opacity).encode(
            x=x, color=coloured, tooltip=tips
        ),
        above.mark_text(align="right", dx=-4, dy=8, baseline="top", color=INK, opacity=0.7)
        .encode(x=x, y=alt.value(0), text=alt.value("ceiling"))
        .transform_window(number="row_number()")
        .transform_filter("datum.number == 1"),
    ]


def _stairs(front: Sequence[Point], left: float, bottom: float) -> list[Point]:
    """The edge of what is reached: level from the left to the first point of the front, down behind the last."""
    steps = [{"x": point["x"], "y": point["y"]} for point in front]
    steps.sort(key=lambda point: (point["x"], -point["y"]))
    return [{"x": left, "y": steps[0]["y"]}, *steps, {"x": steps[-1]["x"], "y": bottom}]


def _point(row: Row, front: bool) -> Point:
    speedup = row["prefill_speedup"] or 0.0
    low, high = row["prefill_speedup_ci"] or (speedup, speedup)
    return {
        **height(row),
        "x": rounded(speedup),
        "xl": rounded(low),
        "xh": rounded(high),
        "kind": kind_label(kind(row)),
        "what": condition_label(row),
        "model": row["model"],
        "task": row["task"],
        "speed": speed(speedup, row["prefill_speedup_ci"]),
        "at": None if row["ceiling"] is None else rounded(row["ceiling"]),
        "ceiling": ratio(row["ceiling"]) or "not measured",
        "method": method(row),
        "change": change(row) or "none: dense",
        "tokens": whole(row["timed_tokens"]) or "not known",
        "device": str(row["device"]),
        "run": str(row["run"]),
        "front": front,
        "standing": "on it" if front else "behind it",
    }


def _overall_point(line: Overall, front: bool) -> Point:
    speedup = line["prefill_speedup"] or 0.0
    low, high = line["prefill_speedup_ci"] or (speedup, speedup)
    return {
        **height(line),
        "x": rounded(speedup),
        "xl": rounded(low),
        "xh": rounded(high),
        "method": line["method"],
        "what": line["condition"],
        "model": line["model"],
        "task": f"mean of {len(line['tasks'])}, speed of {len(line['timed_tasks'])}",
        "speed": speed(speedup, line["prefill_speedup_ci"]),
        "change": change(line) or "none: dense",
        "ceiling": "see the tasks",
        "tokens": "see the tasks",
        "device": line["device"],
        "run": line["run"],
        "front": front,
        "standing": "on it" if front else "behind it",
    }
