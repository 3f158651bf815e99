"""The picture of a head profile: layers x heads, selected heads marked."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coreheads.files import write_bytes
from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import Heads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
_CELL = 0.29  # inches, as long as the figure stays on a screen
_MARK = "#d1470c"
_MAP = "Blues"

_MEANING = {
    None: "RAM: share of a question word's attention\nthat falls on the target",
    "vision": "RAM: share of the attention to pictures\nthat falls on the target",
    "lift": "RAM lift: attention to the target,\n1 = that of a uniform reader",
}


def write_head_map(profile: HeadProfile, heads: Heads, path: str | Path, title: str | None = None) -> Path:
    """Write the PNG of :func:`head_map` at once, or not at all."""
    return write_bytes(path, head_map_png(profile, heads, title))


def head_map_png(profile: HeadProfile, heads: Heads, title: str | None = None) -> bytes:
    """The PNG file of :func:`head_map`."""
    return png(head_map(profile, heads, title), DPI)


def png(figure: Figure, dpi: int) -> bytes:
    """The PNG file of a figure; characters that the font lacks are drawn as boxes, without a warning for each."""
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def head_map(profile: HeadProfile, heads: Heads, title: str | None = None) -> Figure:
    """Heat map of the profile's mean, layers downwards and query heads across, from 6 x 16 to 64 x 64 and
    beyond.

    heads: outlined. Thin lines part the groups of query heads that share one KV head. The bars on the
    right are each layer's share of the sum over all heads. Nothing global is touched: no pyplot, no
    backend switched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, width = profile.shape
    across = min(max(_CELL * width, 4.2), 11.0)
    down = min(max(_CELL * layers, 2.0), 11.0)
    figure = Figure(figsize=(across + 3.6, down + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    maps, bars = figure.subplots(1, 2, sharey=True, width_ratios=[across, 1.1])
    image = _draw_map(maps, profile)
    _mark(maps, heads, thick=2.0 if max(layers, width) <= 40 else 1.4)
    _draw_bars(bars, profile)
    meaning = _MEANING[profile.normalization] if profile.score == "ram" else profile.score
    scale = figure.colorbar(image, ax=bars, fraction=0.5, pad=0.3, aspect=max(8.0, 6 * down))
    scale.set_label(meaning, fontsize=8)
    scale.ax.tick_params(length=2, labelsize=8)
    figure.suptitle(title or _title(profile, heads), fontsize=10)
    return figure


def _title(profile: HeadProfile, heads: Heads) -> str:
    marked = f"; {len(heads)} outlined heads hold {100 * profile.share(heads):.0f} % of the sum" if heads else ""
    return f"{Path(profile.model['id']).name}: {profile.count} heads, {profile.samples} samples{marked}"


def _draw_map(axes: Axes, profile: HeadProfile) -> Any:
    layers, width = profile.shape
    highest = float(profile.mean.max())
    image = axes.imshow(
        profile.mean, cmap=_MAP, vmin=min(0.0, float(profile.mean.min())), vmax=highest or 1.0, aspect="auto"
    )
    group = width // profile.model["kv_heads"]
    if group > 1:
        for edge in range(group, width, group):
            axes.axvline(edge - 0.5, color="#cfd6de", linewidth=0.8)
    axes.set_xticks(_ticks(width))
    axes.set_yticks(_ticks(layers))
    axes.set_xlabel("query head")
    axes.set_ylabel("layer")
    axes.tick_params(length=2, labelsize=8)
    for side in axes.spines.values():
        side.set_color("#999999")
    return image


def _mark(axes: Axes, heads: Heads, thick: float) -> None:
    from matplotlib.patches import Rectangle

    for layer, head in sorted(heads):
        corner = (head - 0.5, layer - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_MARK, linewidth=thick, clip_on=False, zorder=3))


def _draw_bars(axes: Axes, profile: HeadProfile) -> None:
    layers, total = profile.shape[0], float(profile.mean.sum())
    share = 100 * profile.mean.sum(axis=1) / total if total > 0 else np.zeros(layers)
    axes.barh(range(layers), share, color="#7a93ad", height=0.7)
    axes.set_xlabel("layer, % of sum")
    axes.tick_params(length=2, labelsize=8, labelleft=False)
    axes.spines[["top", "right"]].set_visible(False)


def _ticks(count: int) -> list[int]:
    """About 16 labels at most, at round numbers."""
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, 128) if count / step <= 17 or step == 128)
    return list(range(0, count, step))
