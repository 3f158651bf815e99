"""Frames of the annotated segment, by native index."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.errors import BadSample
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.vidstg.data import video_path
from coreheads.tasks.vidstg.scoring import sampled_frames, thinned

if TYPE_CHECKING:
    from PIL.Image import Image


def scored_frames(doc: Doc) -> list[int]:
    """The frames that count: TubeDETR's, whose clip ends before the segment's last frame."""
    first, end = doc["segment"]
    return sampled_frames(first, end - 1, doc["fps"])


def shown_frames(doc: Doc, most: int) -> list[int]:
    """At most ``most`` of the scored frames, evenly."""
    return thinned(scored_frames(doc), most)


def seconds(doc: Doc, frame: float) -> float:
    """Seconds of a native frame, from the segment's beginning."""
    return float(frame - doc["segment"][0]) / float(doc["fps"])


def pictures(doc: Doc, most: int, side: int) -> list[Image]:
    """The shown frames, at most ``side`` pixels on their longer side; BadSample for a video that has them not."""
    return list(_pictures(str(video_path(doc)), tuple(shown_frames(doc, most)), doc["frame_count"], side))


@lru_cache(maxsize=2)
def _pictures(path: str, frames: tuple[int, ...], frame_count: int, side: int) -> tuple[Image, ...]:
    # kept, so that the sentences about one segment show the very same pictures
    from coreheads.media.images import from_frame
    from coreheads.media.video import read_frames

    def pick(total: int) -> tuple[int, ...]:
        if frames[-1] >= total:
            raise BadSample(f"{path}: has {total} frames, expected the {frame_count} of the annotation")
        return frames

    shown = [from_frame(frame) for frame in read_frames(Path(path), pick)]
    for picture in shown:
        picture.thumbnail((side, side))
    return tuple(shown)
