"""The mini task over MLVU's format: which of four digits stands beside the named thing, in a long video?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.documents import Doc, text, user_turn, video
from coreheads.tasks.mini.prompts import name_in
from coreheads.tasks.mlvu import data
from coreheads.tasks.mlvu.scoring import m_avg, read_option


def expected(root: Path, split: str) -> list[tuple[Path, str]]:
    return data.expected(root / split)


def records(root: Path, split: str) -> list[Doc]:
    docs = []
    for doc in data.records(root / split):
        options = " ".join(f"({chr(ord('A') + index)}) {option}" for index, option in enumerate(doc["candidates"]))
        docs.append(
            doc
            | {
                "record_id": f"{split}/{doc['record_id']}",
                "prompt": f"{doc['question']} {options}",
                "query": name_in(doc["question"]),
            }
        )
    return docs


def messages(doc: Doc) -> list[dict[str, Any]]:
    return user_turn(video(Path(doc["root"]) / doc["video"]), text(doc["prompt"]))


def regions(doc: Doc) -> list[Region]:
    return data.regions(doc)


def target(doc: Doc) -> str:
    return str(doc["answer"])


def scores(doc: Doc, response: str) -> dict[str, float]:
    option = read_option(response, doc["candidates"])
    is_right = option is not None and option == doc["right"]
    return {"accuracy": float(is_right), "unparsed": float(option is None)}


def details(doc: Doc, response: str) -> dict[str, Any]:
    """What M-Avg, a mean of the question types' accuracies, is computed from."""
    return {"m_avg": {"question_type": doc["question_type"], "score": scores(doc, response)["accuracy"]}}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """``rows``: what ``details`` gave for every sample."""
    return {"m_avg": m_avg([row["m_avg"] for row in rows])}
