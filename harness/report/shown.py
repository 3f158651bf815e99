"""What a prompt shows, as small pictures beside the answers: images, pages, and frames of videos, with gold boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coreheads.media.images import from_frame, open_image
from coreheads.media.video import EPSILON, Clip, open_clip
from coreheads.regions import Box, Region
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
    boxes: tuple[Box, ...]


def pictures(messages: Sequence[dict[str, Any]], regions: Sequence[Region], most: int = MOST) -> list[Shown]:
    """At most ``most`` pictures of a prompt in the chat format, gold ones first to be kept, in their order.

    UserError where a medium cannot be opened.
    """
    media = parts(messages)
    clips: dict[int, Clip] = {}
    views: list[View] = []
    for number, part in enumerate(media):
        name = f"{part['type']} {number + 1} of {len(media)}" if len(media) > 1 else str(part["type"])
        own = [region for region in regions if region.media == number]
        if part["type"] == "image":
            views.append(View(number, 0, name, tuple(map(_box, own))))
        else:
            source = part["url"]
            clips[number] = open_clip(Path(source) if isinstance(source, str) else source)
            views += _frames(number, name, clips[number], part, own)
    chosen = shown(views, min(most, len(views)))
    images: dict[int, list[Image]] = {}
    for number in dict.fromkeys(view.medium for view in chosen):
        if number in clips:
            frames = clips[number].read([view.patch for view in chosen if view.medium == number])
            images[number] = list(map(from_frame, frames))
        else:
            images[number] = [open_image(media[number]["url"], f"picture {number + 1}")]
    return [Shown(view.label, images[view.medium].pop(0), view.boxes) for view in chosen]


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


def _frames(number: int, name: str, clip: Clip, part: dict[str, Any], regions: Sequence[Region]) -> Iterator[View]:
    """Frames of a video, or of its part that is shown, to choose from."""
    seconds = clip.seconds
    first = 0 if part.get("start") is None else int(np.searchsorted(seconds, part["start"] - EPSILON))
    last = len(seconds) if part.get("end") is None else int(np.searchsorted(seconds, part["end"] - EPSILON))
    chosen = set(_even(range(first, last)))
    for region in regions:
        chosen.update(_even([index for index in range(first, last) if within(float(seconds[index]), region)]))
    for index in sorted(chosen):
        here = [region for region in regions if within(float(seconds[index]), region)]
        yield View(number, index, f"{name}, {seconds[index]:.1f} s", tuple(map(_box, here)))


def _even(indices: Sequence[int]) -> list[int]:
    """``FRAMES`` of them at even distances."""
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, min(FRAMES, len(indices)))]


def _box(region: Region) -> Box:
    return region.box or (0.0, 0.0, 1.0, 1.0)
