"""Reads VidSTG's annotations and joins them with VidOR's boxes and videos."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from coreheads.errors import UserError
from coreheads.files import read_json
from coreheads.regions import Box, Region
from coreheads.tasks.documents import Doc

VIDOR = {"train": "training", "val": "training", "test": "validation"}
"""VidSTG's test videos are VidOR's validation videos."""


def expected(root: Path, split: str) -> list[tuple[Path, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [
        (root / f"annotations/{split}_annotations.json", "VidSTG's captions and questions"),
        (root / "vidor/annotation" / VIDOR[split], "VidOR's boxes, <folder>/<vid>.json"),
        (root / "vidor/video", "VidOR's videos, <folder>/<vid>.mp4"),
    ]


def records(root: Path, split: str) -> list[Doc]:
    """One record a caption (declarative) or question (interrogative), in the order of the file.

    Spans become [start, end) in native frames here: ``used_segment`` ends with its last frame in the file,
    ``temporal_gt`` already one after it.
    """
    path = root / f"annotations/{split}_annotations.json"
    docs = []
    for index, record in enumerate(read_json(path)):
        try:
            docs += _samples(root, split, index, record)
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: record {index} lacks {error}") from None
    return docs


def _samples(root: Path, split: str, index: int, record: Doc) -> list[Doc]:
    segment, span = record["used_segment"], record["temporal_gt"]
    sentences = [("declarative", caption) for caption in record["captions"]]
    sentences += [("interrogative", question) for question in record["questions"]]
    return [
        {
            # by position: 269 of the real test set's sentences stand twice with another target
            "record_id": f"{split}/{index}/{number}",
            "root": str(root),
            "vid": record["vid"],
            "fps": record["fps"],
            "frame_count": record["frame_count"],
            "width": record["width"],
            "height": record["height"],
            "segment": [segment["begin_fid"], segment["end_fid"] + 1],
            "span": [span["begin_fid"], span["end_fid"]],
            "target": sentence["target_id"],
            "form": form,
            "description": sentence["description"],
            "vidor": VIDOR[split],
        }
        for number, (form, sentence) in enumerate(sentences)
    ]


@lru_cache(maxsize=4096)
def _find(root: str, folder: str, vid: str, ending: str) -> Path:
    found = sorted(Path(root, folder).glob(f"*/{vid}{ending}"))
    if not found:
        raise UserError(f"{root}/{folder}/*/{vid}{ending}: no such file")
    return found[0]


def video_path(doc: Doc) -> Path:
    return _find(doc["root"], "vidor/video", doc["vid"], ".mp4")


@lru_cache(maxsize=4)
def _trajectories(path: str) -> list[list[dict[str, Any]]]:
    frames: list[list[dict[str, Any]]] = read_json(path)["trajectories"]
    return frames


def tube(doc: Doc) -> dict[int, Box]:
    """{native frame: x0, y0, x1, y1 in pixels} of the target within its span.

    VidOR's boxes name their last pixel; one is added here, so that a box's width is x1 - x0.
    """
    path = _find(doc["root"], f"vidor/annotation/{doc['vidor']}", doc["vid"], ".json")
    frames = _trajectories(str(path))
    start, end = doc["span"]
    boxes: dict[int, Box] = {}
    for frame in range(start, min(end, len(frames))):
        for thing in frames[frame]:
            if thing["tid"] == doc["target"]:
                box = thing["bbox"]
                boxes[frame] = (box["xmin"], box["ymin"], box["xmax"] + 1, box["ymax"] + 1)
    return boxes


def regions(doc: Doc) -> list[Region]:
    """The tube as regions in seconds of the video; consecutive frames with the same box are one."""
    runs: list[tuple[int, int, Box]] = []
    for frame, box in sorted(tube(doc).items()):
        if runs and runs[-1][1] == frame and runs[-1][2] == box:
            runs[-1] = (runs[-1][0], frame + 1, box)
        else:
            runs.append((frame, frame + 1, box))
    width, height, fps = doc["width"], doc["height"], doc["fps"]
    return [
        Region(
            media=0,
            box=(x0 / width, y0 / height, x1 / width, y1 / height),
            start=start / fps,
            end=end / fps,
        )
        for start, end, (x0, y0, x1, y1) in runs
    ]
