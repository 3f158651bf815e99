"""The mini task over MMLongBench-Doc's format: what digit stands beside the named thing, in a long PDF?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import query, samples, within
from coreheads.tasks.mmlongbench_doc import data
from coreheads.tasks.mmlongbench_doc.data import media, regions
from coreheads.tasks.mmlongbench_doc.scoring import score_answer
from coreheads.tasks.mmlongbench_doc.task import aggregate
from coreheads.tasks.reading.documents import Doc, Messages, image, text, user_turn
from coreheads.tasks.reading.sources import Source

__all__ = ["aggregate", "media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected(split, options))


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return samples(data.records(source.within(split), split, options), split)


def messages(doc: Doc) -> Messages:
    return user_turn(*(image(page) for page in data.pages(doc)), text(doc["prompt"]))


def target(doc: Doc) -> str:
    return str(doc["answer"])


def scores(doc: Doc, response: str) -> dict[str, float]:
    """The response is the prediction as it stands: no model extracts an answer from it, as officially one does."""
    said = response.strip()
    return {"accuracy": score_answer(doc["answer"], said, doc["answer_format"]), "unparsed": float(not said)}


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    return {"f1": {"answer": doc["answer"], "pred": response.strip(), "score": scores["accuracy"]}}
