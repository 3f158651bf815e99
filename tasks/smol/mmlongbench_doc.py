"""Questions about a printed document, as MMLongBench-Doc's PDFs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import within
from coreheads.tasks.mmlongbench_doc import data
from coreheads.tasks.mmlongbench_doc.data import media, regions
from coreheads.tasks.mmlongbench_doc.scoring import score_answer
from coreheads.tasks.mmlongbench_doc.task import aggregate
from coreheads.tasks.reading.documents import Doc, Messages, image, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.smol.prompts import numbered, prompt, query, said

__all__ = ["aggregate", "media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected(split, options))


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return numbered(data.records(source.within(split), split, options), split)


def messages(doc: Doc) -> Messages:
    return user_turn(*(image(page) for page in data.pages(doc)), text(prompt(doc["question"])))


def target(doc: Doc) -> str:
    return f" {doc['answer']}."


def scores(doc: Doc, response: str) -> dict[str, float]:
    """By MMLongBench-Doc's measure; the response itself is the prediction."""
    answer = said(response)
    return {"accuracy": score_answer(doc["answer"], answer, doc["answer_format"]), "unparsed": float(not answer)}


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    return {"f1": {"answer": doc["answer"], "pred": said(response), "score": scores["accuracy"]}}
