"""What a prompt shows, as small pictures beside the answers: images, pages, and frames of videos, with gold boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coreheads.media.images import from_frame, open_image
from coreheads.media.video import Clip, open_clip
from coreheads.regions import Region
from coreheads.retrieval.overlay import View, shown, within

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 3
"""Pictures of a prompt."""
SIDE = 560
"""Pixels of a picture's longer side, at most."""
BYTES = 40_000
"""Of a picture, at most."""
FRAMES = 16
"""Of a video, from which those that are shown are taken; and as many of each gold region."""


class Shown(NamedTuple):
    """One picture; boxes: gold regions on it, normalised."""

    label: str
    image: Image
    boxes: tuple[tuple[float, ...], ...]


def pictures(messages: Sequence[dict[str, Any]], regions: Sequence[Region], most: int = MOST) -> list[Shown]:
    """At most ``most`` pictures of a prompt in the chat format, gold ones first to be kept, in their order.

    UserError where a medium cannot be opened.
    """
    media = parts(messages)
    readers: dict[tuple[int, int], Callable[[], Image]] = {}
    views: list[View] = []
    for number, part in enumerate(media):
        of_medium = [region for region in regions if region.media == number]
        for view, reader in _views(number, len(media), part, of_medium):
            readers[view.medium, view.patch] = reader
            views.append(view)
    return [
        Shown(view.label, readers[view.medium, view.patch](), view.boxes) for view in shown(views, min(most, len(views)))
    ]


def parts(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pictures and videos of a prompt."""
    return [part for turn in messages for part in turn["content"] if part["type"] != "text"]


def jpeg(image: Image) -> tuple[bytes, int, int]:
    """(a JPEG file of at most ``BYTES``, its width, its height)."""
    from PIL.Image import Resampling

    for side, quality in ((SIDE, 82), (SIDE, 65), (400, 60), (280, 50), (160, 40), (64, 30)):
        small = image.copy()
        small.thumbnail((side, side), Resampling.LANCZOS)
        stream = BytesIO()
        small.save(stream, "jpeg", quality=quality, optimize=True)
        if stream.tell() <= BYTES:
            break
    return stream.getvalue(), small.width, small.height


def _views(
    number: int, count: int, part: dict[str, Any], regions: Sequence[Region]
) -> Iterator[tuple[View, Callable[[], Image]]]:
    name = f"{part['type']} {number + 1} of {count}" if count > 1 else str(part["type"])
    if part["type"] == "image":
        boxes = tuple(map(_box, regions))
        yield View(number, 0, name, boxes), lambda: open_image(part["url"], name).convert("RGB")
        return
    source = part["url"]
    clip = open_clip(Path(source) if isinstance(source, str) else source)
    seconds = clip.seconds
    first = 0 if part.get("start") is None else int(np.searchsorted(seconds, part["start"]))
    last = len(seconds) if part.get("end") is None else int(np.searchsorted(seconds, part["end"]))
    chosen = set(_even(range(first, last)))
    for region in regions:
        chosen |= set(_even([index for index in range(first, last) if within(float(seconds[index]), region)]))
    for index in sorted(chosen):
        boxes = tuple(_box(region) for region in regions if within(float(seconds[index]), region))
        yield View(number, index, f"{name}, {seconds[index]:.1f} s", boxes), _frame(clip, index)


def _frame(clip: Clip, index: int) -> Callable[[], Image]:
    return lambda: from_frame(clip.read([index])[0])


def _even(indices: Sequence[int]) -> list[int]:
    """``FRAMES`` of them at even distances."""
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, min(FRAMES, len(indices)))]


def _box(region: Region) -> tuple[float, ...]:
    return tuple(float(edge) for edge in region.box or (0, 0, 1, 1))
