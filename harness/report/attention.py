"""The picture that explains the method: what is asked about, and what a few heads look at, side by side."""

from __future__ import annotations

import base64
import textwrap
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from coreheads.heads.types import head_name
from coreheads.media.images import decode
from coreheads.report.figures import png as png_file
from coreheads.retrieval.attention_map import AttentionMap
from coreheads.retrieval.overlay import WIDTH, Heat, Pixels, View, heat, on_view, picture, shown, views

Spec = dict[str, Any]
"""Of Vega-Lite. Altair, which checks every field, takes seconds for twenty panels."""

GOLD = "#12b886"
COLOURS = ("#ffffcc", "#ffeda0", "#fed976", "#feb24c", "#fd8d3c", "#fc4e2a", "#e31a1c", "#bd0026", "#800026")
"""Of attention, from none to the highest of all panels (ColorBrewer's YlOrRd)."""
EXPONENT = 1 / 3
"""Of the colour scale, so that what is weak can be seen, too."""
MEANING = "attention on one vision token, mean over the query's tokens; one (cube-root) scale"
PLAIN = {"fontWeight": "normal", "fontSize": 12}
PICTURES = 4
"""How many pages or frames are shown."""


def png(attention_map: AttentionMap, query: str, title: str, most: int = PICTURES) -> bytes:
    """The PNG file of :func:`figure`."""
    return png_file(figure(attention_map, query, title, most), scale=1, solid=True)


def jpeg(attention_map: AttentionMap, query: str, title: str, size: int, most: int = PICTURES) -> bytes:
    """A JPEG file of :func:`figure` of at most ``size`` bytes, as fine as fits."""
    drawn = decode(png(attention_map, query, title, most), "the picture of what heads look at")
    for factor, quality in ((1.0, 85), (1.0, 70), (0.75, 70), (0.6, 60), (0.4, 50), (0.25, 40)):
        small = drawn.resize((round(drawn.width * factor), round(drawn.height * factor)))
        stream = BytesIO()
        small.save(stream, "jpeg", quality=quality, optimize=True)
        if stream.tell() <= size:
            return stream.getvalue()
    raise ValueError(f"a picture of {stream.tell()} bytes, expected at most {size}")


def figure(attention_map: AttentionMap, query: str, title: str, most: int = PICTURES) -> Spec:
    """Each shown picture of the prompt with its gold region; beside it, or behind it where there is one picture only,
    the same with each head's attention laid over it. All panels share one colour scale, which is stated.

    Args:
        attention_map: what the heads look at.
        query: the words that name what is looked for.
        title: stands above the panels.
        most: how many pictures of a longer prompt are shown, gold ones first.
    """
    every = views(attention_map.prompt, attention_map.regions)
    chosen = shown(every, most)
    pictures = [picture(attention_map.prompt, view) for view in chosen]
    maps = [
        heat(attention_map.prompt, view, attention_map.attention, im.shape[:2])
        for view, im in zip(chosen, pictures, strict=True)
    ]
    highest = max(float(one.max()) for one in maps) or 1.0
    panels = []
    for view, image, weights in zip(chosen, pictures, maps, strict=True):
        panels.append(_panel(image, view, [view.label]))
        for index, weight in enumerate(weights):
            lines = _title(attention_map, index, view, view is chosen[0], len(every) == 1)
            panels.append(_panel(_under(image, weight / highest), view, lines))
    panels[0]["layer"].append(_scale(highest))
    heads = len(attention_map.heads)
    columns = 1 + heads if len(chosen) > 1 else 2 if heads <= 3 else 3
    wide = columns * WIDTH // 8
    above = [*textwrap.wrap(title, wide)[:2], *textwrap.wrap(f"looked for: “{query}” (framed in green)", wide)[:2]]
    return {
        "title": {"text": above, "anchor": "middle", **PLAIN},
        "concat": panels,
        "columns": columns,
        "spacing": 12,
        "resolve": {"scale": {"color": "shared"}},
    }


def describe(attention_map: AttentionMap, query: str) -> str:
    """The figure in words. Ranks are over all samples of the profile: on one of them a later head may pay more."""
    heads = [
        f"{head_name(head)} (rank {rank} of {attention_map.count}) pays {ram:.2f}"
        for head, rank, ram in zip(attention_map.heads, attention_map.ranks, attention_map.ram, strict=True)
    ]
    return (
        f"Looking for “{' '.join(query.split())}”, share of a head's attention on the target in this one sample "
        f"(ranks are over all samples of the profile, so that here a later head may pay more): {'; '.join(heads)}."
    )


def _title(attention_map: AttentionMap, index: int, view: View, first: bool, alone: bool) -> list[str]:
    """What stands over a panel: the head's name and numbers over its first, its attention on this picture on all."""
    here = f"{on_view(attention_map.prompt, view, attention_map.attention[index]):.2f} of its attention here"
    if not first:
        return [here]
    rank, ram = attention_map.ranks[index], attention_map.ram[index]
    name = f"{head_name(attention_map.heads[index])}, rank {rank} of {attention_map.count}, RAM {ram:.2f}"
    return [name, here] if alone else [name, f"{attention_map.on_vision[index]:.2f} on all pictures", here]


def _under(image: Pixels, weights: Heat) -> Pixels:
    """The picture, greyed, under attention [H, W] in 0..1."""
    grey = 0.5 * image.mean(axis=2, keepdims=True) + 0.5 * 255
    strength = weights**EXPONENT
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS])
    colours = np.stack([np.interp(strength, np.linspace(0, 1, len(stops)), channel) for channel in stops.T], axis=-1)
    alpha = 0.85 * strength[..., None]
    return np.asarray((1 - alpha) * grey + alpha * colours, dtype=np.uint8)


def _panel(image: Pixels, view: View, title: list[str]) -> Spec:
    """A picture with its gold boxes; one pixel of it is one of the figure."""
    framed = Image.fromarray(image)
    for x0, y0, x1, y1 in view.boxes:
        corners = (x0 * framed.width, y0 * framed.height, x1 * framed.width - 1, y1 * framed.height - 1)
        ImageDraw.Draw(framed).rectangle(corners, outline=GOLD, width=3)
    stream = BytesIO()
    framed.save(stream, "png")
    url = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
    size = {"width": framed.width, "height": framed.height}
    middle = {"x": {"value": framed.width / 2}, "y": {"value": framed.height / 2}}
    shown = {"mark": {"type": "image", **size}, "encoding": {"url": {"value": url}, **middle}}
    return {**size, "title": {"text": title, **PLAIN}, "data": {"values": [{}]}, "layer": [shown]}


def _scale(highest: float) -> Spec:
    """A layer that draws nothing; its legend is the scale of all panels."""
    scale = {"type": "pow", "exponent": EXPONENT, "domain": [0, highest], "range": COLOURS, "interpolate": "rgb"}
    legend = {"title": MEANING, "gradientLength": 2 * WIDTH}
    colour = {"datum": 0, "type": "quantitative", "scale": scale, "legend": legend}
    return {"mark": {"type": "point", "opacity": 0}, "encoding": {"color": colour}}
