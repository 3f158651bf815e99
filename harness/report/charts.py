"""The board's charts, made by Altair for the page and for pictures: trade-off and ablation curves. Text and axes take
the colour of what is around them, so that light and dark need no second drawing; data holds only what is drawn.
A legend is shown where the configuration of the page or picture has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from coreheads.report.columns import SELECTIONS, condition_label, grouped, interval, kind_label, method, ratio, whole
from coreheads.report.palette import INK, KINDS, OTHER, SHAPES, by_method, by_model, kind
from coreheads.report.pareto import pareto
from coreheads.store.board import Overall, Row
from coreheads.text import vega_title

Point = dict[str, Any]
"""What Vega draws of a row, by field."""

DASHES = {"layer_matched": [5, 3], "bottom": [2, 2]}
HEIGHT = 240
TALL = 360
"""Of the chart over all tasks."""


def overall(lines: Sequence[Overall], colours: Mapping[str, str]) -> alt.LayerChart:
    """Mean score against mean prefill speedup of what is timed on all tasks of one model, a curve a method."""
    on_front = {id(line) for line in pareto(lines)}
    points = [_overall_point(line, id(line) in on_front) for line in lines]
    about = f"{lines[0]['model']}, mean over tasks: score against prefill speedup; the numbers stand in the ranking"
    layers = _plane(points, "score (mean over tasks)", _colour("method", _used(colours, points)))
    return alt.LayerChart(layer=layers).properties(height=TALL, description=about)


def tradeoff(
    rows: Sequence[Row], models: Sequence[str] = (), colours: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Score against prefill speedup of the timed rows of one axis, with intervals, the front and the ceilings.

    models: give all of the board's to compare those that are in ``rows``; then colours are of models, shapes of kinds,
    each model has its own front, and ceilings are left to the charts of single models. Else a method is a curve.
    colours: of methods; by default of those that are here.
    """
    on_front = {id(row) for part in grouped(rows, "model").values() for row in pareto(part)}
    points = [_point(row, id(row) in on_front) for row in rows]
    if models:
        coloured = _colour("model", by_model(list(models)))
        kinds = {kind_label(name): SHAPES.get(name, "square") for name in dict.fromkeys(map(kind, rows))}
        shape = alt.Shape("kind:N", scale=_scale(kinds))
        layers = _plane(points, f"score ({rows[0]['metric']})", coloured, shape=shape)
    else:
        coloured = _colour("method", _used(colours or by_method(map(method, rows)), points))
        layers = _plane(points, f"score ({rows[0]['metric']})", coloured, [p for p in points if p["at"] is not None])
    return _chart(layers, rows, "score against prefill speedup")


def _plane(
    points: Sequence[Point],
    upwards: str,
    coloured: alt.Color,
    ceilings: Sequence[Point] = (),
    shape: alt.Shape | None = None,
) -> list[Any]:
    """The layers of a trade-off. upwards: the title of the scores. shape: given where models are compared."""
    across = [value for p in points for value in (p["x"], p["xl"], p["xh"])] + [point["at"] for point in ceilings]
    width, height = _padded([*across, 1.0], 0.06), _heights(points)
    front = [
        step | {"model": model}
        for model in dict.fromkeys(point["model"] for point in points)
        for step in _stairs([p for p in points if p["front"] and p["model"] == model], width[0], height[0])
    ]
    across_title = "prefill speedup over the fastest dense kernel (x)"
    x = alt.X("x:Q", title=across_title, scale=alt.Scale(domain=width, nice=False, zero=False))
    y = alt.Y("y:Q", title=vega_title(upwards), scale=alt.Scale(domain=height, nice=False))
    tips = _tips(
        what="condition", model="model", task="task", score="score", change="change", speed="prefill speedup",
        ceiling="ceiling", tokens="timed tokens", device="device", run="run", standing="Pareto front",
    )  # fmt: skip
    stairs = alt.Chart(alt.InlineData(values=front)).mark_line(
        color=INK, opacity=0.6 if shape else 0.3, strokeWidth=1.5, interpolate="step-before"
    )
    base = alt.Chart(alt.InlineData(values=list(points)))
    # a curve for every method with several points
    curves = [] if shape else [base.mark_line(strokeWidth=2, opacity=0.7).encode(x=x, y=y, color=coloured)]
    return [
        alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_rule(color=INK, opacity=0.25).encode(x=x),
        *_ceiling_lines(ceilings, coloured),
        stairs.encode(x=x, y=y, color=coloured if shape else alt.Undefined),
        *curves,
        base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(x=alt.X("xl:Q"), x2="xh:Q", y=y, color=coloured),
        base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(x=x, y=alt.Y("yl:Q"), y2="yh:Q", color=coloured),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, y=y, color=coloured, tooltip=tips, shape=shape or alt.Undefined
        ),
    ]


def _ceiling_lines(ceilings: Sequence[Point], coloured: alt.Color) -> list[Any]:
    if not ceilings:
        return []
    above, x = alt.Chart(alt.InlineData(values=list(ceilings))), alt.X("at:Q")
    tips = _tips(what="ceiling of", ceiling="ceiling", tokens="timed tokens", device="device")
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
            points.append({**_height(row), "x": off, **label})
    x = alt.X("x:Q", title="% of heads switched off", scale=alt.Scale(domain=[0, 105 * widest], nice=False))
    y = alt.Y(
        "y:Q", title=vega_title(f"score ({curves[0]['metric']})"), scale=alt.Scale(domain=_heights(points), nice=False)
    )
    coloured = _colour("kind", _of_kinds(names))
    dashes = _scale({kind_label(name): DASHES.get(name, [1, 0]) for name in names})
    base = alt.Chart(alt.InlineData(values=points))
    tips = _tips(what="condition", heads="heads off", score="score")
    layers: list[Any] = [
        base.mark_area(opacity=0.13).encode(x=x, y=alt.Y("yl:Q"), y2="yh:Q", color=coloured),
        base.mark_line(strokeWidth=2).encode(
            x=x, y=y, color=coloured, strokeDash=alt.StrokeDash("kind:N", legend=None, scale=dashes)
        ),
        base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=coloured, tooltip=tips),
    ]
    if dense is not None:
        level = alt.Chart(alt.InlineData(values=[_height(dense)]))
        layers.insert(0, level.mark_rule(color=INK, strokeDash=[4, 4], opacity=0.6).encode(y=y))
    return _chart(layers, curves, "score against the share of heads switched off")


def _chart(layers: Sequence[Any], rows: Sequence[Row], shows: str) -> alt.LayerChart:
    """The layers as one chart, described for those who do not see it."""
    models = ", ".join(dict.fromkeys(str(row["model"]) for row in rows))
    about = f"{models} on {rows[0]['task']}: {shows}; the numbers stand in the table"
    return alt.LayerChart(layer=list(layers)).properties(height=HEIGHT, description=about)


def _stairs(front: Sequence[Point], left: float, bottom: float) -> list[Point]:
    """The edge of what is reached: level from the left to the first point of the front, down behind the last."""
    steps = [{"x": point["x"], "y": point["y"]} for point in front]
    steps.sort(key=lambda point: (point["x"], -point["y"]))
    return [{"x": left, "y": steps[0]["y"]}, *steps, {"x": steps[-1]["x"], "y": bottom}]


def _point(row: Row, front: bool) -> Point:
    speedup = row["prefill_speedup"] or 0.0
    low, high = row["prefill_speedup_ci"] or (speedup, speedup)
    return {
        **_height(row),
        "x": _round(speedup),
        "xl": _round(low),
        "xh": _round(high),
        "kind": kind_label(kind(row)),
        "what": condition_label(row),
        "model": row["model"],
        "task": row["task"],
        "speed": ratio(speedup, row["prefill_speedup_ci"]),
        "at": None if row["ceiling"] is None else _round(row["ceiling"]),
        "ceiling": ratio(row["ceiling"]) or "not measured",
        "method": method(row),
        "change": interval(row["delta"], row["delta_ci"], sign=True) or "none: dense",
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
        **_height(line),
        "x": _round(speedup),
        "xl": _round(low),
        "xh": _round(high),
        "method": line["method"],
        "what": line["condition"],
        "model": line["model"],
        "task": f"mean of {len(line['tasks'])}, speed of {len(line['timed_tasks'])}",
        "speed": ratio(speedup, line["prefill_speedup_ci"]),
        "change": interval(line["delta"], line["delta_ci"], sign=True) or "none: dense",
        "ceiling": "see the tasks",
        "tokens": "see the tasks",
        "device": line["device"],
        "run": line["run"],
        "front": front,
        "standing": "on it" if front else "behind it",
    }


def _used(colours: Mapping[str, str], points: Sequence[Point]) -> dict[str, str]:
    """The colours of methods that are among the points."""
    return {name: colours.get(name, OTHER) for name in dict.fromkeys(point["method"] for point in points)}


def _height(row: Row | Overall) -> Point:
    low, high = row["score_ci"] or (row["score"], row["score"])
    return {
        "y": _round(row["score"]),
        "yl": _round(low),
        "yh": _round(high),
        "score": interval(row["score"], row["score_ci"]),
    }


def _padded(values: Sequence[float], margin: float) -> list[float]:
    low, high = min(values), max(values)
    edge = margin * (high - low) or 0.1
    return [_round(low - edge), _round(high + edge)]


def _heights(points: Sequence[Point]) -> list[float]:
    """0 to 1 with a margin for scores that are shares, wider for those that are not."""
    return _padded([0.0, 1.0, *(point[name] for point in points for name in ("y", "yl", "yh"))], 0.04)


def _of_kinds(kinds: Sequence[str]) -> dict[str, str]:
    return {kind_label(name): INK if name == "dense" else KINDS.get(name, OTHER) for name in kinds}


def _colour(field: str, colours: Mapping[str, str]) -> alt.Color:
    return alt.Color(f"{field}:N", title=None, scale=_scale(colours))


def _scale(values: Mapping[str, Any]) -> alt.Scale:
    return alt.Scale(domain=list(values), range=list(values.values()))


def _tips(**fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields.items()]


def _round(value: float) -> float:
    return float(f"{value:.4g}")
