"""Reads VidSTG's annotations and joins them with VidOR's boxes and videos."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from coreheads.errors import UserError
from coreheads.files import read_json
from coreheads.regions import Box, Region
from coreheads.tasks.boxes import fraction_of
from coreheads.tasks.documents import BadSample, Doc, bad_doc, fields_of, usable
from coreheads.tasks.sources import Source

VIDOR = {"train": "training", "val": "training", "test": "validation"}
"""VidSTG's test videos are VidOR's validation videos."""


def expected(split: str) -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [
        (_annotations(split), "VidSTG's captions and questions"),
        (f"vidor/annotation/{VIDOR[split]}/*/*.json", "VidOR's boxes, <folder>/<vid>.json"),
        ("vidor/video/*/*.mp4", "VidOR's videos, <folder>/<vid>.mp4"),
    ]


def _annotations(split: str) -> str:
    return f"annotations/{split}_annotations.json"


def records(source: Source, split: str) -> list[Doc]:
    """One record a caption (declarative) or question (interrogative), in the order of the file.

    Spans become [start, end) in native frames here: ``used_segment`` ends with its last frame in the file,
    ``temporal_gt`` already one after it.
    """
    path = source.file(_annotations(split), "VidSTG's captions and questions")
    content = read_json(path)
    if not isinstance(content, list):
        raise UserError(f"{path}: holds {type(content).__name__}, expected a list of records")
    docs: list[Doc] = []
    for index, record in enumerate(content):
        try:
            with fields_of(f"{path}: record {index}"):
                docs += _samples(source, split, index, record)
        except BadSample as error:
            vid = str(record.get("vid", index)) if isinstance(record, dict) else str(index)
            docs.append(bad_doc(source.place, f"{split}/{index}/0", vid, error))
    return docs


def _samples(source: Source, split: str, index: int, record: Doc) -> list[Doc]:
    segment, span = record["used_segment"], record["temporal_gt"]
    first, end = segment["begin_fid"], segment["end_fid"] + 1
    start, stop = span["begin_fid"], span["end_fid"]
    if not first <= start < stop <= end <= record["frame_count"]:
        raise ValueError(
            f"temporal_gt is {start} to {stop} in used_segment {first} to {end - 1} of {record['frame_count']} "
            "frames, expected a span inside the segment"
        )
    sentences = [("declarative", caption) for caption in record["captions"]]
    sentences += [("interrogative", question) for question in record["questions"]]
    return [
        {
            # by position: 269 of the real test set's sentences stand twice with another target
            "record_id": f"{split}/{index}/{number}",
            "root": source.place,
            "group": record["vid"],
            "vid": record["vid"],
            "fps": record["fps"],
            "frame_count": record["frame_count"],
            "width": record["width"],
            "height": record["height"],
            "segment": [first, end],
            "span": [start, stop],
            "target": sentence["target_id"],
            "form": form,
            "description": sentence["description"],
            "vidor": VIDOR[split],
        }
        for number, (form, sentence) in enumerate(sentences)
    ]


@lru_cache(maxsize=4096)
def _find(root: str, folder: str, vid: str, ending: str) -> Path:
    source = Source(root)
    found = source.names(f"{folder}/*/{vid}{ending}")
    if not found:
        raise BadSample(f"{source.where(f'{folder}/*/{vid}{ending}')}: not there, expected a file of VidOR")
    return source.file(found[0], "a file of VidOR")


def video_path(doc: Doc) -> Path:
    """The video's file; BadSample where it is missing."""
    usable(doc)
    return _find(doc["root"], "vidor/video", doc["vid"], ".mp4")


@lru_cache(maxsize=4)
def _trajectories(path: str) -> list[list[dict[str, Any]]]:
    try:
        content = read_json(path)
    except UserError as error:
        raise BadSample(str(error)) from None
    with fields_of(path):
        frames: list[list[dict[str, Any]]] = content["trajectories"]
    return frames


def tube(doc: Doc) -> dict[int, Box]:
    """{native frame: (xmin, ymin, xmax, ymax)} of the target within its span: VidOR's numbers as they stand.

    TubeDETR scores with them as corners (x1 - x0 is xmax - xmin). BadSample where the file is missing or the target
    has a box in no frame of its span.
    """
    usable(doc)
    path = _find(doc["root"], f"vidor/annotation/{doc['vidor']}", doc["vid"], ".json")
    frames = _trajectories(str(path))
    start, end = doc["span"]
    boxes: dict[int, Box] = {}
    with fields_of(f"{path}: trajectories"):
        for frame in range(start, min(end, len(frames))):
            for thing in frames[frame]:
                if thing["tid"] == doc["target"]:
                    box = thing["bbox"]
                    boxes[frame] = (box["xmin"], box["ymin"], box["xmax"], box["ymax"])
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
