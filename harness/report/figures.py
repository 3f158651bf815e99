"""The charts as PNG files, drawn without a network or a browser: ``figures/`` of a run, and a head profile's map."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
from PIL import Image

from coreheads.files import write_bytes
from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import profile_name
from coreheads.media.images import decode
from coreheads.report import palette, panels
from coreheads.report.columns import condition_label, grouped
from coreheads.report.head_map import layer_shares
from coreheads.report.palette import by_method
from coreheads.store.board import Board
from coreheads.text import visible

ACROSS = 3
"""Panels side by side."""
WIDTH = 300
"""Pixels of a panel."""
ABLATION = "The score when heads are switched off, by how many and which. Bands: 95 % intervals; dashed: none off."
SPEED = (
    "Score against prefill speedup. Bars: 95 % intervals; stairs: the Pareto front; dashed: the ceiling. "
    "Short prompts leave nothing to save."
)
OVERALL = "Bars: 95 % intervals; a line joins a method's budgets; stairs: the Pareto front."
INK = "#757e8a"
"""Of text and lines on a background that shows through: it can be read on white and on the black of dark pages."""
INKED: dict[str, Any] = {
    "background": None,
    "title": {"color": INK, "subtitleColor": INK},
    "axis": dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor", "gridColor"), INK),
    "legend": {"labelColor": INK, "titleColor": INK},
}
CONFIG: dict[str, Any] = {
    "background": "white",
    "view": {"stroke": None},
    "axis": {"gridOpacity": 0.5, "titleFontWeight": "normal", "tickCount": 6, "titleLimit": 290},
    "legend": {
        "orient": "bottom",
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
        "titleLimit": 600,
        "titleFontWeight": "normal",
    },
    "concat": {"spacing": 28},
}


def draw(board: Board, profiles: panels.Profiles, folder: Path) -> list[Path]:
    """Write the board's pictures into ``folder``: the map of each profile's heads, and for each model its ablation
    curves and its trade-off, where it has any.

    Args:
        board: the content of leaderboard.json.
        profiles: of every entry of the board's ``heads``.
        folder: made where it is missing.

    Returns:
        The files, in the order in which they are to be read.
    """
    files = []
    for number, summary in enumerate(board["heads"]):
        name = profile_name(summary["model"], summary.get("score"))
        picture = head_map_png(profiles[summary["run"], name], panels.shown_fraction(summary), name)
        files.append(write_bytes(folder / f"heads-{number}.png", picture))
    for number, ((_, model), rows) in enumerate(grouped(board["rows"], "run", "model").items()):
        timed = panels.tradeoffs(rows)
        conditions = "; ".join(dict.fromkeys(condition_label(row) for panel in timed for row in panel.rows))
        for name, caption, drawn in (
            ("ablation", ABLATION, panels.ablations(rows)),
            ("speed", f"{SPEED} Points: {conditions}.", timed),
        ):
            if drawn:
                files.append(write_bytes(folder / f"{name}-{number}.png", _grid(drawn, model, caption)))
    ranked = board.get("overall", [])
    colours = by_method(line["method"] for line in ranked)
    for name, drawn in (
        ("overall", panels.overall(ranked, colours)),
        ("work", panels.costs(ranked, "work", colours)),
        ("cache", panels.costs(ranked, "kv", colours)),
    ):
        files += [write_bytes(folder / f"{name}-{number}.png", _overall(panel)) for number, panel in enumerate(drawn)]
    return files


def _overall(panel: panels.Panel) -> bytes:
    """The PNG of the chart over all tasks, with its methods named beside it."""
    title = alt.TitleParams(
        panel.model, subtitle=textwrap.wrap(f"{panel.about}. {OVERALL}", 120), anchor="start", offset=16
    )
    drawn = panel.chart.properties(width=600, title=title)
    named = drawn.configure_legend(orient="right", labelLimit=250, symbolOpacity=1, symbolStrokeWidth=2)
    return png(named.to_dict())


def head_map_png(profile: HeadProfile, fraction: float, model: str | None = None) -> bytes:
    """The PNG of a profile's map with its top heads outlined, each layer's share of the sum beside it.

    Args:
        profile: what is drawn.
        fraction: of all heads, in (0, 1]; how many are outlined.
        model: what the model is called in the title; default: the last part of the profile's own.
    """
    panel = panels.heads(model or Path(profile.model["id"]).name, profile, fraction)
    _, width = profile.shape
    heat = panel.chart.properties(width=max(WIDTH, min(900, 18 * width)))
    shares = layer_shares(profile).properties(width=90, height=panel.chart.height)
    title = alt.TitleParams(f"{panel.model}: {panel.about}")
    return png(alt.hconcat(heat, shares, title=title).to_dict())


def png(spec: dict[str, Any], scale: float = 1.5, solid: bool = False) -> bytes:
    """The PNG file of a Vega-Lite specification, whose background shows through.

    scale: how many of its pixels one of the chart takes. solid: black on white, for what has colours of its own.
    """
    import vl_convert

    if solid:
        drawn: bytes = vl_convert.vegalite_to_png(
            _drawable(spec, "black"), scale=scale, config=CONFIG, allowed_base_urls=[]
        )
        return drawn
    svg = vl_convert.vegalite_to_svg(_drawable(spec, INK), config=_over(CONFIG, INKED), allowed_base_urls=[])
    # the renderer darkens what is half transparent: what shows through is told by what differs on white and on black
    light, dark = (_on(svg, scale, colour) for colour in ("white", "black"))
    alpha = 255 - (light - dark).max(axis=2, keepdims=True)
    colour = np.where(alpha > 0, dark * 255 / np.maximum(alpha, 1), 0).round().clip(0, 255)
    stream = BytesIO()
    Image.fromarray(np.concatenate([colour, alpha], 2).astype(np.uint8)).save(stream, "png", optimize=True)
    return stream.getvalue()


def _on(svg: str, scale: float, colour: str) -> npt.NDArray[np.int64]:
    """The picture on a background, [H, W, 3], 0 to 255."""
    import vl_convert

    start = svg.index(">", svg.index("<svg")) + 1
    filled = f'{svg[:start]}<rect width="100%" height="100%" fill="{colour}"/>{svg[start:]}'
    return np.asarray(decode(vl_convert.svg_to_png(filled, scale=scale), "a chart")).astype(np.int64)


def _over(plain: dict[str, Any], inked: dict[str, Any]) -> dict[str, Any]:
    """The settings with those of ``inked`` in their place."""
    merged = {
        name: _over(plain.get(name, {}), more) if isinstance(more, dict) else more for name, more in inked.items()
    }
    return plain | merged


def _drawable(value: Any, ink: str) -> Any:
    """The specification in this ink, without characters that XML, in which it is drawn first, cannot hold."""
    if isinstance(value, str):
        return ink if value == palette.INK else value if value.isprintable() else visible(value)
    if isinstance(value, dict):
        return {name: _drawable(part, ink) for name, part in value.items()}
    return [_drawable(part, ink) for part in value] if isinstance(value, list | tuple) else value


def _grid(drawn: Sequence[panels.Panel], title: str, caption: str) -> bytes:
    """The PNG of some panels under a title and a caption."""
    across = min(ACROSS, len(drawn))
    titled = [
        panel.chart.properties(width=WIDTH, title=alt.TitleParams(panel.task, subtitle=panel.about)) for panel in drawn
    ]
    above = alt.TitleParams(title, subtitle=textwrap.wrap(caption, 60 * across), anchor="start", offset=16)
    # legends of their own: not every panel has every kind
    return png(alt.concat(*titled, columns=across, title=above).resolve_scale(color="independent").to_dict())
