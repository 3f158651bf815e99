"""MLVU as a task: a long video, a question, four options (dev) or six (test)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.mlvu import data
from coreheads.tasks.mlvu.data import expected as expected
from coreheads.tasks.mlvu.data import media as media
from coreheads.tasks.mlvu.data import records as records
from coreheads.tasks.mlvu.scoring import m_avg, score
from coreheads.tasks.reading.documents import Doc, Messages, text, user_turn, video

PROMPT = "{question}\n{options}\nWatch the whole video, then answer with the letter of the right option only."


def variant(options: Mapping[str, Any]) -> str:
    """How the option is read off a response, which is not the official script's: changed when ``read_option`` is."""
    return "letters-2, M-Avg over the types asked"


def letter(index: int) -> str:
    return chr(ord("A") + index)


def messages(doc: Doc) -> Messages:
    options = "\n".join(f"({letter(index)}) {option}" for index, option in enumerate(doc["candidates"]))
    prompt = PROMPT.format(question=doc["question"], options=options)
    return user_turn(video(data.video_path(doc)), text(prompt))


def query(doc: Doc) -> str:
    return str(doc["question"])


def regions(doc: Doc) -> list[Region]:
    """None: MLVU says neither when nor where the answer is."""
    return []


def target(doc: Doc) -> str:
    return f"({letter(doc['right'])})"


def scores(doc: Doc, response: str) -> dict[str, float]:
    """Accuracy; the name with the kind of question is a mean over that kind alone."""
    scored = score(response, doc["candidates"], doc["right"])
    return {**scored, f"accuracy_{doc['question_type']}": scored["accuracy"]}


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    return {"m_avg": {"question_type": doc["question_type"], "score": scores["accuracy"]}}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {"m_avg": m_avg([row["m_avg"] for row in rows])}
