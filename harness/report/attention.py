"""The picture that explains the method: what is asked about, and what a few heads look at, side by side."""

from __future__ import annotations

import textwrap
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from coreheads.heads.types import head_name
from coreheads.retrieval.attention_map import Gaze
from coreheads.retrieval.overlay import WIDTH, Heat, Pixels, View, heat, on_view, picture, shown, views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

GOLD = "#12b886"
MAP = "YlOrRd"
DPI = 110
PICTURES = 4
"""How many pages or frames are shown."""
GAP, HEAD, FOOT, TITLE, EDGE = 12, 62, 78, 52, 14
"""Pixels: between panels, above all of them, below them, above a row of them (further rows take half), at the sides."""


def png(gaze: Gaze, query: str, title: str) -> bytes:
    """The PNG file of :func:`figure`."""
    stream = BytesIO()
    _pixels(figure(gaze, query, title)).save(stream, "png")
    return stream.getvalue()


def jpeg(gaze: Gaze, query: str, title: str, size: int, most: int = PICTURES) -> bytes:
    """A JPEG file of :func:`figure` of at most ``size`` bytes, as fine as fits."""
    drawn = _pixels(figure(gaze, query, title, most))
    for factor, quality in ((1.0, 85), (1.0, 70), (0.75, 70), (0.6, 60), (0.4, 50), (0.25, 40)):
        small = drawn.resize((round(drawn.width * factor), round(drawn.height * factor)))
        stream = BytesIO()
        small.save(stream, "jpeg", quality=quality, optimize=True)
        if stream.tell() <= size:
            return stream.getvalue()
    raise ValueError(f"a picture of {stream.tell()} bytes, expected at most {size}")


def figure(gaze: Gaze, query: str, title: str, most: int = PICTURES) -> Figure:
    """Each shown picture of the prompt with its gold region; beside it, or behind it where there is one picture only,
    the same with each head's attention laid over it. All panels share one colour scale, which is stated.

    most: how many pictures of a longer prompt are shown, gold ones first.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    every = views(gaze.prompt, gaze.regions)
    places = shown(every, most)
    pictures = [picture(gaze.prompt, view) for view in places]
    maps = [heat(gaze.prompt, view, gaze.attention, im.shape[:2]) for view, im in zip(places, pictures, strict=True)]
    highest = max(float(one.max()) for one in maps) or 1.0
    norm = PowerNorm(1 / 3, 0, highest)  # so that what is weak can be seen, too
    panels = 1 + len(gaze.heads)
    across = panels if len(places) > 1 else 2 if panels <= 4 else 3
    tall = max(image.shape[0] for image in pictures)
    lines = len(places) * -(-panels // across)
    tops = [HEAD + TITLE + line * (tall + GAP) + _above(line, len(places)) for line in range(lines)]
    wide, high = 2 * EDGE + across * (WIDTH + GAP) - GAP, tops[-1] + tall + FOOT
    drawn = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI)
    # one set of axes whose unit is a pixel: a set a panel takes ten times as long
    axes = drawn.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(high, 0))
    axes.set_axis_off()
    axes.autoscale(False)
    for number, (view, image) in enumerate(zip(places, pictures, strict=True)):
        for panel in range(panels):
            line, column = number + panel // across, panel % across
            left, top = EDGE + column * (WIDTH + GAP), tops[line]
            _show(axes, image if panel == 0 else _under(image, maps[number][panel - 1], norm), view, left, top)
            text = view.label if panel == 0 else _title(gaze, panel - 1, view, number == 0, len(every) == 1)
            middle = left + WIDTH / 2
            axes.text(middle, top - 6, text, fontsize=8, ha="center", va="bottom", parse_math=False, linespacing=1.25)
    wrapped = [
        *textwrap.wrap(title, wide // 9)[:2],
        *textwrap.wrap(f"looked for: “{query}” (framed in green)", wide // 9)[:2],
    ]
    axes.text(wide / 2, 10, "\n".join(wrapped), fontsize=9, ha="center", va="top", parse_math=False)
    _scale(drawn, norm, high)
    return drawn


def describe(gaze: Gaze, query: str) -> str:
    """The figure in words."""
    heads = [
        f"{head_name(head)} (rank {rank} of {gaze.count}) pays {ram:.2f} of its attention to the target"
        for head, rank, ram in zip(gaze.heads, gaze.ranks, gaze.ram, strict=True)
    ]
    return f"Looking for “{' '.join(query.split())}”: {'; '.join(heads)}."


def _above(line: int, pictures: int) -> int:
    """Pixels that titles of further lines take: whole ones where each line has other heads."""
    return line * (TITLE if pictures == 1 else TITLE // 2)


def _title(gaze: Gaze, index: int, view: View, first: bool, alone: bool) -> str:
    """What stands over a panel: the head's name and numbers over its first, its attention on this picture on all."""
    here = f"{on_view(gaze.prompt, view, gaze.attention[index]):.2f} of its attention here"
    if not first:
        return here
    name = f"{head_name(gaze.heads[index])}, rank {gaze.ranks[index]} of {gaze.count}, RAM {gaze.ram[index]:.2f}"
    return f"{name}\n{here}" if alone else f"{name}\n{gaze.on_vision[index]:.2f} on all pictures\n{here}"


def _under(image: Pixels, weights: Heat, norm: Any) -> Pixels:
    """The picture, greyed, under the attention [H, W]."""
    from matplotlib import colormaps

    grey = 0.5 * image.mean(axis=2, keepdims=True) + 0.5 * 255
    strength = np.asarray(norm(weights))
    colour = 255 * colormaps[MAP](strength)[..., :3]
    alpha = 0.85 * strength[..., None]
    return np.asarray((1 - alpha) * grey + alpha * colour, dtype=np.uint8)


def _show(axes: Axes, image: Pixels, view: View, left: float, top: float) -> None:
    """A picture at a place, with its gold boxes."""
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    left += (WIDTH - width) / 2
    # without a renderer's resampling: one pixel of the picture is one of the figure
    axes.imshow(image, extent=(left, left + width, top + height, top), interpolation="nearest", aspect="auto")
    for x0, y0, x1, y1 in view.boxes:
        corner, size = (left + x0 * width, top + y0 * height), ((x1 - x0) * width, (y1 - y0) * height)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=GOLD, linewidth=2))


def _scale(drawn: Figure, norm: Any, high: float) -> None:
    from matplotlib.cm import ScalarMappable

    bar = drawn.colorbar(
        ScalarMappable(norm, MAP), cax=drawn.add_axes((0.1, 50 / high, 0.8, 9 / high)), orientation="horizontal"
    )
    bar.set_label("attention on one vision token, mean over the query's tokens; one (cube-root) scale", fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)


def _pixels(drawn: Figure) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(drawn)  # its methods have no types
    with warnings.catch_warnings():
        # a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
