"""The mini task over MLVU's format: which of four digits stands beside the named thing, in a long video?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.mini.prompts import name_in, query, within
from coreheads.tasks.mlvu import data
from coreheads.tasks.mlvu.scoring import m_avg, read_option
from coreheads.tasks.reading.documents import Doc, text, user_turn, video
from coreheads.tasks.reading.sources import Source

__all__ = ["query"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected_dev())


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    docs = []
    for doc in data.records(source.within(split)):
        choices = " ".join(f"({chr(ord('A') + index)}) {option}" for index, option in enumerate(doc["candidates"]))
        docs.append(
            doc
            | {
                "record_id": f"{split}/{doc['record_id']}",
                "prompt": f"{doc['question']} {choices}",
                "query": name_in(doc["question"]),
            }
        )
    return docs


def messages(doc: Doc) -> list[dict[str, Any]]:
    return user_turn(video(data.video_path(doc)), text(doc["prompt"]))


def regions(doc: Doc) -> list[Region]:
    return data.regions(doc)


def target(doc: Doc) -> str:
    return str(doc["answer"])


def scores(doc: Doc, response: str) -> dict[str, float]:
    option = read_option(response, doc["candidates"])
    is_right = option is not None and option == doc["right"]
    return {"accuracy": float(is_right), "unparsed": float(option is None)}


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """What M-Avg, a mean of the question types' accuracies, is computed from."""
    return {"m_avg": {"question_type": doc["question_type"], "score": scores["accuracy"]}}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """``rows``: what ``details`` gave for every sample."""
    return {"m_avg": m_avg([row["m_avg"] for row in rows])}
