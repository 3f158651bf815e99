"""What a prompt shows, as pictures to draw on: images, pages and frames with the gold region and each token's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coreheads.regions import Box, Region

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 320
"""Pixels of a picture's width, as it is drawn; at most twice as high."""

Pixels = npt.NDArray[np.uint8]
Heat = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One picture of a prompt: a whole image or page, or the first frame of a temporal patch of a video.

    medium, patch: as in the token map. label: which of how many, or when. boxes: gold regions on it, normalised.
    """

    medium: int
    patch: int
    label: str
    boxes: tuple[Box, ...]


def views(prompt: Any, regions: Sequence[Region]) -> list[View]:
    """Every picture of the prompt, in prompt order."""
    pictures = []
    for number, medium in enumerate(prompt.media):
        of_medium = [region for region in regions if region.media == number]
        many = f" of {len(prompt.media)}" if len(prompt.media) > 1 else ""
        name = f"{medium.kind} {number + 1}{many}" if many else str(medium.kind)
        for patch in range(max(1, len(medium.frames))):
            times = medium.times(patch) if medium.kind == "video" else ()
            here = [r for r in of_medium if not times or any(within(time, r) for time in times)]
            label = f"{name}, {times[0]:.1f} s" if times else name
            pictures.append(View(number, patch, label, tuple(r.box or (0.0, 0.0, 1.0, 1.0) for r in here)))
    return pictures


def shown(every: Sequence[View], most: int = 4) -> list[View]:
    """At most ``most`` of them, in their order: gold ones first (all but one where there are others), spread evenly."""
    gold = [view for view in every if view.boxes]
    others = [view for view in every if not view.boxes]
    room = min(len(gold), most - 1 if others else most)
    chosen = _spread(gold, room) + _spread(others, most - room)
    return [view for view in every if any(view is one for one in chosen)]


def picture(prompt: Any, view: View) -> Pixels:
    """The view's pixels, uint8 [H, W, 3], as upright and whole as the processor got it, made small."""
    from PIL import Image

    from coreheads.media.images import open_image
    from coreheads.media.video import open_clip

    medium = prompt.media[view.medium]
    source = next(item.source for item in prompt.encoded if item.medium is medium)
    if medium.kind == "video":
        image = Image.fromarray(open_clip(source.value).read([medium.frames[view.patch][0]])[0])
    else:
        image = open_image(source.value, source.where)
    image = image.convert("RGB")
    factor = min(WIDTH / image.width, 2 * WIDTH / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    resampling = Image.Resampling.NEAREST if factor > 2 else Image.Resampling.LANCZOS
    return np.asarray(image.resize(size, resampling))


def heat(prompt: Any, view: View, attention: Tensor, shape: tuple[int, int]) -> Heat:
    """Attention [heads, V] laid on the view's pixels, float64 [heads, H, W]: each pixel has that of the token that sees
    it, the highest where several do."""
    height, width = shape
    laid = np.zeros((len(attention), height, width))
    geometry = prompt.geometry
    here = _tokens(prompt, view)[geometry.token]
    token_boxes = zip(geometry.token[here].tolist(), geometry.box[here].tolist(), strict=True)
    values = attention.double().numpy()
    for token, (x0, y0, x1, y1) in token_boxes:
        rows = slice(round(y0 * height), max(round(y0 * height) + 1, round(y1 * height)))
        columns = slice(round(x0 * width), max(round(x0 * width) + 1, round(x1 * width)))
        part = laid[:, rows, columns]
        np.maximum(part, values[:, token, None, None], out=part)
    return laid


def on_view(prompt: Any, view: View, attention: Tensor) -> float:
    """The attention on all tokens of a view."""
    return float(attention[_tokens(prompt, view)].sum())


def _tokens(prompt: Any, view: View) -> Tensor:
    """Bool [V]: the tokens of a view."""
    mask: Tensor = (prompt.geometry.media == view.medium) & (prompt.geometry.patch == view.patch)
    return mask


def _spread(items: Sequence[View], count: int) -> list[View]:
    """``count`` of the items at even distances."""
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, max(0, min(count, len(items))))]


def within(time: float, region: Region) -> bool:
    """Whether a region is there at a time, in seconds."""
    return (region.start is None or time >= region.start - 1e-6) and (region.end is None or time < region.end - 1e-6)
