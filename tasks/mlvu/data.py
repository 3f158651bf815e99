"""Reads MLVU in its official layout: json/<task>.json and video/<task>/<name>.mp4."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from coreheads.errors import UserError
from coreheads.files import read_json
from coreheads.regions import Region
from coreheads.tasks.documents import Doc

REGIONS = "regions.json"
"""Not part of MLVU, which has no regions: [{"video", "question", "start", "end", "box"}], seconds and 0..1."""


def expected(root: Path) -> list[tuple[Path, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [(root / "json", "questions, <task>.json"), (root / "video", "videos, <task>/<name>.mp4")]


def records(root: Path) -> list[Doc]:
    """One record a multiple-choice question, task by task; open-ended tasks are left out.

    ``answer`` is the option's text, as in the file, ``right`` its index, None where it is not among the options.
    """
    files = sorted((root / "json").glob("*.json"))
    if not files:
        raise UserError(f"{root / 'json'}: no *.json, expected MLVU's questions")
    docs = []
    for path in files:
        for index, record in enumerate(read_json(path)):
            try:
                if "candidates" not in record:
                    continue
                options = record["candidates"]
                docs.append(
                    {
                        "record_id": f"{path.stem}/{index}",
                        "root": str(root),
                        "video": f"video/{path.stem}/{record['video']}",
                        "duration": record["duration"],
                        "question": record["question"],
                        "candidates": options,
                        "answer": record["answer"],
                        "right": options.index(record["answer"]) if record["answer"] in options else None,
                        "question_type": record["question_type"],
                    }
                )
            except (KeyError, TypeError) as error:
                raise UserError(f"{path}: record {index} lacks {error}") from None
    return docs


@lru_cache(maxsize=8)
def _regions(root: str) -> dict[tuple[str, str], list[Region]]:
    path = Path(root) / REGIONS
    found: dict[tuple[str, str], list[Region]] = {}
    for entry in read_json(path) if path.is_file() else []:
        region = Region(media=0, box=tuple(entry["box"]), start=entry["start"], end=entry["end"])
        found.setdefault((entry["video"], entry["question"]), []).append(region)
    return found


def regions(doc: Doc) -> list[Region]:
    """Empty unless the side file names some: MLVU itself says neither when nor where."""
    return _regions(doc["root"]).get((Path(doc["video"]).name, doc["question"]), [])
