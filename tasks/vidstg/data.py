"""Reads VidSTG's annotations and joins them with VidOR's boxes and videos."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from coreheads.errors import BadSample, UserError, brief
from coreheads.hashing.contents import stamp
from coreheads.media.images import from_frame
from coreheads.media.video import read_frames
from coreheads.regions import Box, Region
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc, fields_of, read_doc, usable
from coreheads.tasks.reading.fields import field, is_number, items, json_file, json_list, label, positive, whole, words
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.boxes import fraction_of
from coreheads.tasks.vidstg.scoring import sampled_frames, thinned

if TYPE_CHECKING:
    from PIL.Image import Image

VIDOR = {"train": "training", "val": "training", "test": "validation"}
"""VidSTG's test videos are VidOR's validation videos."""


class Segment(TypedDict):
    """What the sentences of one published record share. Frames are native ones, from 0."""

    vid: str
    fps: float
    width: float  # pixels
    height: float
    frame_count: int  # of the video
    segment: list[int]  # [start, end): what is shown; ``used_segment`` in the file, which names its last frame
    span: list[int]  # [start, end): the event; ``temporal_gt`` in the file, which ends one after the last already


class Sentence(Segment):
    """A usable record's fields, beside ``form`` (declarative or interrogative) and what every ``Doc`` has."""

    target: int  # the thing's tid in VidOR
    description: str  # the sentence
    vidor: str  # the folder of VidOR's boxes


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [
        (_annotations(split), "VidSTG's captions and questions"),
        (f"vidor/annotation/{VIDOR[split]}/*/*.json", "VidOR's boxes, <folder>/<vid>.json"),
        ("vidor/video/*/*.mp4", "VidOR's videos, <folder>/<vid>.mp4"),
    ]


def _annotations(split: str) -> str:
    return f"annotations/{split}_annotations.json"


def records(source: Source, split: str) -> list[Doc]:
    """One record a caption (declarative) or question (interrogative), in the order of the file."""
    path = source.file(_annotations(split), "VidSTG's captions and questions")
    docs: list[Doc] = []
    for index, record in enumerate(json_list(path)):
        docs += _samples(source, split, index, record, f"{path}: record {index}")
    return docs


def _samples(source: Source, split: str, index: int, record: Any, where: str) -> list[Doc]:
    """One record a sentence, each usable or not by itself; what is wrong with the segment concerns all of them."""
    about: dict[str, Any] = record if isinstance(record, dict) else {}
    group = str(about.get("vid", index))
    sentences: list[tuple[str, Any]] = []
    for form, name in (("declarative", "captions"), ("interrogative", "questions")):
        listed = about.get(name)
        sentences += [(form, sentence) for sentence in (listed if isinstance(listed, list) else [])]

    def read(number: int, sentence: Any) -> Sentence | dict[str, object]:
        segment = _segment(record)
        for name in ("captions", "questions"):
            items(record, name)
        if not sentences:
            return {}
        with fields_of(f"{where}, sentence {number}"):
            target = whole(sentence, "target_id")
            return {**segment, "target": target, "description": words(sentence, "description"), "vidor": VIDOR[split]}

    # by position: 269 of the real test set's sentences stand twice with another target
    docs = [
        read_doc(source.place, f"{split}/{index}/{number}", group, where, partial(read, number, sentence))
        | ({"form": form} if form else {})
        for number, (form, sentence) in enumerate(sentences or [("", {})])
    ]
    return docs if sentences else [doc for doc in docs if "bad" in doc]


def _segment(record: Any) -> Segment:
    """What the sentences of one record share."""
    segment, span = field(record, "used_segment"), field(record, "temporal_gt")
    first, end = whole(segment, "begin_fid"), whole(segment, "end_fid") + 1
    start, stop = whole(span, "begin_fid"), whole(span, "end_fid")
    count = whole(record, "frame_count")
    if not 0 <= first <= start < stop <= end <= count:
        raise ValueError(
            f"temporal_gt is {start} to {stop} in used_segment {first} to {end - 1} of {count} "
            "frames, expected a span inside the segment"
        )
    return {
        "vid": label(record, "vid"),
        "fps": positive(record, "fps"),
        "width": positive(record, "width"),
        "height": positive(record, "height"),
        "frame_count": count,
        "segment": [first, end],
        "span": [start, stop],
    }


@lru_cache(maxsize=4096)
def _find(root: str, folder: str, vid: str, ending: str) -> Path:
    source = Source(root)
    names = source.names(f"{folder}/*/{vid}{ending}")
    if not names:
        raise BadSample(f"{source.where(f'{folder}/*/{vid}{ending}')}: not there, expected a file of VidOR")
    return source.file(names[0], "a file of VidOR")


def video_path(doc: Doc) -> Path:
    """The video's file; BadSample where it is missing."""
    usable(doc)
    return _find(doc["root"], "vidor/video", doc["vid"], ".mp4")


def media(doc: Doc) -> list[Content]:
    return [video_path(doc), _boxes(doc)]


def _boxes(doc: Doc) -> Path:
    usable(doc)
    return _find(doc["root"], f"vidor/annotation/{doc['vidor']}", doc["vid"], ".json")


@lru_cache(maxsize=4)
def _trajectories(path: str, now: object) -> list[list[dict[str, Any]]]:
    try:
        content = json_file(Path(path))
    except UserError as error:
        raise BadSample(str(error)) from None
    with fields_of(path):
        return items(content, "trajectories")


def tube(doc: Doc) -> dict[int, Box]:
    """{native frame: (xmin, ymin, xmax, ymax)} of the target within its span: VidOR's numbers as they stand.

    TubeDETR scores with them as corners (x1 - x0 is xmax - xmin). BadSample where the file is missing or the target
    has a box in no frame of its span.
    """
    path = _boxes(doc)
    frames = _trajectories(str(path), stamp(path))
    start, end = doc["span"]
    boxes: dict[int, Box] = {}
    with fields_of(f"{path}: trajectories"):
        for frame in range(start, min(end, len(frames))):
            for thing in frames[frame]:
                if thing["tid"] == doc["target"]:
                    x0, y0, x1, y1 = (field(thing["bbox"], name) for name in ("xmin", "ymin", "xmax", "ymax"))
                    if not all(map(is_number, (x0, y0, x1, y1))):
                        raise ValueError(f"bbox in frame {frame} is {brief(thing['bbox'])}, expected numbers")
                    boxes[frame] = (x0, y0, x1, y1)
    if not boxes:
        raise BadSample(f"{path}: trajectories have no box of tid {doc['target']} in frames {start} to {end - 1}")
    return boxes


def box_of(doc: Doc, corners: Box) -> Box:
    """A box of the tube as a part of the picture: VidOR names the last pixel, which is inside."""
    x0, y0, x1, y1 = corners
    return fraction_of((x0, y0, x1 + 1, y1 + 1), doc["width"], doc["height"])


def regions(doc: Doc) -> list[Region]:
    """The tube as regions in seconds of the video; consecutive frames with the same box are one."""
    runs: list[tuple[int, int, Box]] = []
    for frame, box in sorted(tube(doc).items()):
        if runs and runs[-1][1] == frame and runs[-1][2] == box:
            runs[-1] = (runs[-1][0], frame + 1, box)
        else:
            runs.append((frame, frame + 1, box))
    fps = doc["fps"]
    return [Region(media=0, box=box_of(doc, corners), start=start / fps, end=end / fps) for start, end, corners in runs]


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
    path, shown = video_path(doc), tuple(shown_frames(doc, most))
    return list(_pictures(str(path), stamp(path), shown, doc["frame_count"], (doc["width"], doc["height"]), side))


@lru_cache(maxsize=2)
def _pictures(
    path: str, now: object, frames: tuple[int, ...], frame_count: int, size: tuple[float, float], side: int
) -> tuple[Image, ...]:
    # kept, so that the sentences about one segment show the very same pictures
    def pick(total: int) -> tuple[int, ...]:
        if frames[-1] >= total:
            raise BadSample(f"{path}: has {total} frames, expected the {frame_count} of the annotation")
        return frames

    shown = [from_frame(frame) for frame in read_frames(Path(path), pick)]
    (width, height), (across, down) = size, shown[0].size
    if (width - height) * (across - down) < 0:  # boxes would lie elsewhere
        raise BadSample(f"{path}: is {across} x {down} pixels, expected the {width:g} x {height:g} of the annotation")
    for picture in shown:
        picture.thumbnail((side, side))
    return tuple(shown)
