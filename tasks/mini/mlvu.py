"""The mini task over MLVU's format: which of four digits stands beside the named thing, in a long video?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import query, samples, within
from coreheads.tasks.mlvu import data, task
from coreheads.tasks.mlvu.data import media, regions
from coreheads.tasks.mlvu.task import aggregate, details
from coreheads.tasks.reading.documents import Doc, Messages, text, user_turn, video
from coreheads.tasks.reading.sources import Source

__all__ = ["aggregate", "details", "media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected("dev", options))


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    docs = samples(data.records(source.within(split), "dev", options), split)
    for doc in docs:
        answers = (f"({task.letter(index)}) {option}" for index, option in enumerate(doc["candidates"]))
        doc["prompt"] = " ".join([doc["question"], *answers])
    return docs


def messages(doc: Doc) -> Messages:
    return user_turn(video(data.video_path(doc)), text(doc["prompt"]))


def target(doc: Doc) -> str:
    return str(doc["answer"])


def scores(doc: Doc, response: str) -> dict[str, float]:
    """Without the means over kinds of question: there is one."""
    scored = task.scores(doc, response)
    return {name: scored[name] for name in ("accuracy", "unparsed")}
