"""What the board's charts have in common: heights with intervals, scales, tooltips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from coreheads.report.columns import score
from coreheads.report.palette import INK, OTHER
from coreheads.store.board import Overall, Row

Point = dict[str, Any]
"""What Vega draws of a row, by field."""
HEIGHT = 240
MANY = 8
"""From so many methods on the bars of intervals are fainter."""
DASHES = [5, 4]


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
        "score": score(row),
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


PLOT = 430, 330
"""About the pixels of a chart that holds names: between a telephone's and a desk's."""
LETTER = 6
"""Pixels of a letter, at most."""
PLACES = (-12, 18, -26, 32, -40)
"""Pixels under a point where its name may stand: the first that is free."""


def front_names(points: Sequence[Point], x: alt.X, y: alt.Y, cheapest: bool = False) -> list[Any]:
    """The name of every method on the front beside its fastest (or ``cheapest``) point there, none on another."""
    ends = {p["method"]: p for p in sorted(points, key=lambda p: -p["x"] if cheapest else p["x"]) if p["front"]}
    across, up = [point["x"] for point in points], [point["y"] for point in points]
    wide, tall = max(across) - min(across) or 1.0, max(up) - min(up) or 1.0
    middle = (min(across) + max(across)) / 2
    taken: list[tuple[float, float, float]] = []
    layers = []
    for point in sorted(ends.values(), key=lambda point: -float(point["y"])):
        name = point["method"].partition(" (the model")[0]
        right, length = point["x"] > middle, LETTER * len(name)
        left = PLOT[0] * (point["x"] - min(across)) / wide - (length if right else 0)
        base = PLOT[1] * (max(up) - point["y"]) / tall
        free = [
            place
            for place in PLACES
            if all(left + length < a or left > b or abs(base + place - at) > 12 for a, b, at in taken)
        ]
        place = (free or PLACES)[0]
        taken.append((left, left + length, base + place))
        chart = alt.Chart(alt.InlineData(values=[{"x": point["x"], "y": point["y"], "name": name}]))
        mark = chart.mark_text(
            align="right" if right else "left", dx=4 if right else -4, dy=place, color=INK, limit=190
        )
        layers.append(mark.encode(x=x, y=y, text="name:N"))
    return layers


def used(colours: Mapping[str, str], points: Sequence[Point]) -> dict[str, str]:
    """The colours of methods that are among the points."""
    return {name: colours.get(name, OTHER) for name in dict.fromkeys(point["method"] for point in points)}


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
