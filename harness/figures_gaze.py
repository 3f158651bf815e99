"""The picture that explains the method: what is asked about, and what a few heads look at, side by side."""

from __future__ import annotations

import textwrap
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from coreheads.gaze import Gaze
from coreheads.heads import head_name
from coreheads.views import Heat, Pixels, View, heat, on_view, picture, shown, views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

GOLD = "#12b886"
MAP = "YlOrRd"
PANEL = 2.5  # inches
DPI = 110
PICTURES = 4
"""How many pages or frames are shown."""


def png(gaze: Gaze, query: str, title: str) -> bytes:
    """The PNG file of :func:`figure`."""
    stream = BytesIO()
    _pixels(figure(gaze, query, title)).save(stream, "png", optimize=True)
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

    places = shown(views(gaze.prompt, gaze.regions), most)
    pictures = [picture(gaze.prompt, view) for view in places]
    across = 3 if len(places) == 1 else 1 + len(gaze.heads)
    down = -(-(1 + len(gaze.heads)) // across) if len(places) == 1 else len(places)
    tall = min(2.0, max(0.4, float(np.mean([image.shape[0] / image.shape[1] for image in pictures]))))
    rows = (PANEL * tall + 0.42) * down
    head, foot = 0.95, 0.75
    size = (PANEL * across, rows + head + foot)
    drawn = Figure(figsize=size, dpi=DPI)
    grid = drawn.subplots(down, across, squeeze=False)
    drawn.subplots_adjust(0.01, foot / size[1], 0.99, 1 - head / size[1], wspace=0.04, hspace=0.42 / (PANEL * tall))
    for axes in grid.flat:
        axes.set_axis_off()
    maps = [
        heat(gaze.prompt, view, gaze.attention, image.shape[:2]) for view, image in zip(places, pictures, strict=True)
    ]
    highest = max(float(one.max()) for one in maps) or 1.0
    norm = PowerNorm(1 / 3, 0, highest)  # so that what is weak can be seen, too
    scale: Any = None
    for number, (view, image) in enumerate(zip(places, pictures, strict=True)):
        panels = list(grid.flat) if len(places) == 1 else list(grid[number])
        _draw(panels[0], image, view)
        panels[0].set_title(view.label, fontsize=8, parse_math=False)
        for index, axes in enumerate(panels[1 : 1 + len(gaze.heads)]):
            scale = _draw(axes, image, view, maps[number][index], norm)
            axes.set_title(_title(gaze, index, view, number == 0), fontsize=8)
    bar = drawn.colorbar(scale, cax=drawn.add_axes((0.1, 0.5 / size[1], 0.8, 0.1 / size[1])), orientation="horizontal")
    bar.set_label(
        "attention on one vision token, mean over the query's tokens; one (cube-root) scale for all panels", fontsize=8
    )
    bar.ax.tick_params(labelsize=7, length=2)
    wide = 24 * across
    lines = [*textwrap.wrap(title, wide), *textwrap.wrap(f"looked for: “{query}” (green: where it is)", wide)[:3]]
    drawn.suptitle("\n".join(lines), y=1 - 0.08 / size[1], va="top", fontsize=9, parse_math=False)
    return drawn


def describe(gaze: Gaze, query: str) -> str:
    """The figure in words."""
    heads = [
        f"{head_name(head)} (rank {rank} of {gaze.count}) pays {ram:.2f} of its attention to the target"
        for head, rank, ram in zip(gaze.heads, gaze.ranks, gaze.ram, strict=True)
    ]
    return f"Looking for “{' '.join(query.split())}”: {'; '.join(heads)}."


def _title(gaze: Gaze, index: int, view: View, first: bool) -> str:
    here = on_view(gaze.prompt, view, gaze.attention[index])
    if not first:
        return f"{here:.2f} of it here"
    name, rank = head_name(gaze.heads[index]), gaze.ranks[index]
    text = f"{name}, rank {rank} of {gaze.count}\nRAM {gaze.ram[index]:.2f}, all pictures {gaze.on_vision[index]:.2f}"
    return text if len(gaze.prompt.geometry.media) == 0 or _alone(gaze) else f"{text}\n{here:.2f} of it here"


def _alone(gaze: Gaze) -> bool:
    return len(views(gaze.prompt, gaze.regions)) == 1


def _draw(axes: Axes, image: Pixels, view: View, weights: Heat | None = None, norm: Any = None) -> Any:
    """A picture with its gold boxes; with ``weights``, greyed and under them. Returns what a colour bar needs."""
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    scale = None
    if weights is None:
        axes.imshow(image)
    else:
        grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
        axes.imshow((0.5 * grey + 0.5 * 255).astype(np.uint8))
        scale = axes.imshow(weights, cmap=MAP, norm=norm, alpha=0.85 * np.asarray(norm(weights)))
    for x0, y0, x1, y1 in view.boxes:
        corner = (x0 * width - 0.5, y0 * height - 0.5)
        box = Rectangle(corner, (x1 - x0) * width, (y1 - y0) * height, fill=False, edgecolor=GOLD, linewidth=2)
        box.set_clip_on(False)
        axes.add_patch(box)
    return scale


def _pixels(drawn: Figure) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(drawn)  # its methods have no types
    with warnings.catch_warnings():
        # a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
