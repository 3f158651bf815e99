"""Reads MLVU in its official layouts: the dev set by task, the test set in one file with its answers beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from coreheads.errors import UserError, brief
from coreheads.hashing.contents import stamp
from coreheads.regions import Region
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc, read_doc, usable
from coreheads.tasks.reading.fields import field, items, json_file, json_list, said, words
from coreheads.tasks.reading.sources import Source

REGIONS = "regions.json"
"""Not part of MLVU, which has no regions: [{"video", "question", "start", "end", "box"}], seconds and 0..1."""

QUESTIONS, ANSWERS = "test_multi_choice_tasks.json", "test-ground-truth/test_mcq_gt.json"
VIDEOS = "MLVU_Test/video"

PREFIXES = ("", "MLVU/")
"""The dev set's json and video folders stand at the top, or in a folder MLVU as on the Hugging Face hub."""


class Question(TypedDict):
    """A usable record's fields, beside what every ``Doc`` has."""

    video: str  # the file, below the root
    duration: Any  # seconds, as published; null where the file has none
    question: str
    candidates: list[str]
    answer: str  # the right candidate
    right: int  # its index
    question_type: str


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    if split == "test":
        return [
            (QUESTIONS, "multiple-choice questions"),
            (ANSWERS, "their answers"),
            (f"{VIDEOS}/*", "videos, unpacked from MLVU_Test/test_video.tar.gz.part-*"),
        ]
    json, video = (" or ".join(f"{prefix}{name}" for prefix in PREFIXES) for name in ("json/*.json", "video/*/*"))
    return [(json, "questions, <task>.json"), (video, "videos, <task>/<name>.mp4")]


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    """One record a multiple-choice question, of the dev set task by task; open-ended tasks are left out."""
    if split == "test":
        return _test_records(source)
    listed = ((prefix, source.names(f"{prefix}json/*.json")) for prefix in PREFIXES)
    prefix, files = next(((prefix, names) for prefix, names in listed if names), ("", []))
    if not files:
        raise UserError(f"{source.where('json')}: no *.json, expected MLVU's questions")
    docs: list[Doc] = []
    for name in files:
        task = Path(name).stem
        questions = json_list(source.file(name, "MLVU's questions"))
        if any(isinstance(question, dict) and "candidates" in question for question in questions):
            for index, question in enumerate(questions):
                where = f"{source.where(name)}: record {index}"
                docs.append(_record(source, where, f"{task}/{index}", f"{prefix}video/{task}", question, question))
    return docs


def _test_records(source: Source) -> list[Doc]:
    """The test set's records; answers are joined by question_id, else by place."""
    questions = json_list(source.file(QUESTIONS, "MLVU's test questions"))
    answers = json_list(source.file(ANSWERS, "MLVU's test answers"))
    known = {name: answer for answer in answers if isinstance(name := _id(answer), str | int)}
    docs = []
    for index, question in enumerate(questions):
        where = f"{source.where(QUESTIONS)}: record {index}"
        name = _id(question)
        if not isinstance(question, dict) or not isinstance(name, str | int | None):
            bad = f"{where}: question_id is {brief(name)} of {brief(question)}, expected a text"
            docs.append({"record_id": str(index), "root": source.place, "group": str(index), "bad": bad})
            continue
        in_place = answers[index] if index < len(answers) and "question_id" not in question else {}
        answer = question if "answer" in question else in_place if name is None else known.get(name, {})
        docs.append(_record(source, where, str(index if name is None else name), VIDEOS, question, answer))
    return docs


def _id(record: Any) -> Any:
    name = record.get("question_id") if isinstance(record, dict) else None
    return None if isinstance(name, bool) else name


def _record(source: Source, where: str, record: str, videos: str, question: Any, answer: Any) -> Doc:
    video = str(question.get("video", record)) if isinstance(question, dict) else record

    def read() -> Question:
        options = [str(said(option, "candidates")) for option in items(question, "candidates")]
        right = _right(options, str(said(field(answer, "answer"), "answer")))
        return {
            "video": f"{videos}/{words(question, 'video')}",
            "duration": question.get("duration"),
            "question": words(question, "question"),
            "candidates": options,
            "answer": options[right],
            "right": right,
            "question_type": words(question, "question_type"),
        }

    return read_doc(source.place, record, video, where, read)


def _right(options: list[str], answer: str) -> int:
    """The index of the right option, given by its text or its letter. ValueError where it is none of them."""
    if answer in options:
        return options.index(answer)
    letter = answer.strip().strip("().")
    if len(letter) == 1 and 0 <= ord(letter.upper()) - ord("A") < len(options):
        return ord(letter.upper()) - ord("A")
    raise ValueError(f"answer is {answer!r}, expected one of the candidates {options}")


def video_path(doc: Doc) -> Path:
    """The video's file; BadSample where it is missing."""
    usable(doc)
    return Source(doc["root"]).file(doc["video"], "a video")


def media(doc: Doc) -> list[Content]:
    return [video_path(doc), repr(regions(doc))]


@lru_cache(maxsize=8)
def _regions(path: Path, now: object) -> dict[tuple[str, str], list[Region]]:
    by_question: dict[tuple[str, str], list[Region]] = {}
    for entry in json_file(path):
        region = Region(media=0, box=tuple(entry["box"]), start=entry["start"], end=entry["end"])
        by_question.setdefault((entry["video"], entry["question"]), []).append(region)
    return by_question


def regions(doc: Doc) -> list[Region]:
    """Empty unless the side file names some: MLVU itself says neither when nor where."""
    path = Path(doc["root"]) / REGIONS
    return _regions(path, stamp(path)).get((Path(doc["video"]).name, doc["question"]), []) if path.is_file() else []
