"""What the board's charts have in common: heights with intervals, scales, tooltips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from coreheads.report.columns import interval
from coreheads.report.palette import INK
from coreheads.store.board import Overall, Row

Point = dict[str, Any]
"""What Vega draws of a row, by field."""
HEIGHT = 240


def chart_of(layers: Sequence[Any], rows: Sequence[Row], shows: str) -> alt.LayerChart:
    """The layers as one chart, described for those who do not see it."""
    models = ", ".join(dict.fromkeys(str(row["model"]) for row in rows))
    about = f"{models} on {rows[0]['task']}: {shows}; the numbers stand in the table"
    return alt.LayerChart(layer=list(layers)).properties(height=HEIGHT, description=about)


def height(row: Row | Overall) -> Point:
    """The fields of a row's score."""
    low, high = row["score_ci"] or (row["score"], row["score"])
    return {
        "y": rounded(row["score"]),
        "yl": rounded(low),
        "yh": rounded(high),
        "score": interval(row["score"], row["score_ci"]),
    }


def padded(values: Sequence[float], margin: float) -> list[float]:
    """The range of values with a margin, as a share of it."""
    low, high = min(values), max(values)
    edge = margin * (high - low) or 0.1
    return [rounded(low - edge), rounded(high + edge)]


def heights(points: Sequence[Point]) -> list[float]:
    """0 to 1 with a margin for scores that are shares, wider for those that are not."""
    return padded([0.0, 1.0, *(point[name] for point in points for name in ("y", "yl", "yh"))], 0.04)


def close_heights(points: Sequence[Point]) -> list[float]:
    """The scores with their intervals, at least a tenth of them in all, and never far above 1 where they are shares."""
    values = [point[name] for point in points for name in ("y", "yl", "yh")]
    low, high = padded([*values, max(values) - 0.1], 0.08)
    return [low, min(high, 1.03) if max(values) <= 1 else high]


def front_names(points: Sequence[Point], x: alt.X, y: alt.Y) -> list[Any]:
    """The name of every method on the front beside its fastest point there."""
    fastest = {p["method"]: p for p in sorted(points, key=lambda point: float(point["x"])) if p["front"]}
    across = [point["x"] for point in points]
    middle = (min(across) + max(across)) / 2
    layers = []
    for right in (False, True):
        named = [point | {"name": point["method"].partition(" (")[0]} for point in fastest.values()]
        named = [point for point in named if (point["x"] > middle) == right]
        base = alt.Chart(alt.InlineData(values=named))
        mark = base.mark_text(align="right" if right else "left", dx=4 if right else -4, dy=-12, color=INK, limit=190)
        layers.append(mark.encode(x=x, y=y, text="name:N"))
    return layers


def colour_of(field: str, colours: Mapping[str, str]) -> alt.Color:
    """A colour by a field's value."""
    return alt.Color(f"{field}:N", title=None, scale=scale_of(colours))


def scale_of(values: Mapping[str, Any]) -> alt.Scale:
    """A scale that gives each name its value."""
    return alt.Scale(domain=list(values), range=list(values.values()))


def tips_of(**fields: str) -> list[alt.Tooltip]:
    """A tooltip of fields with their titles."""
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields.items()]


def rounded(value: float) -> float:
    """To four digits: what is drawn needs no more."""
    return float(f"{value:.4g}")
