"""Questions about a printed document, as MMLongBench's page images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.media.images import decode
from coreheads.tasks.mini.prompts import within
from coreheads.tasks.mmlongbench import data
from coreheads.tasks.mmlongbench.data import media
from coreheads.tasks.mmlongbench.scoring import score
from coreheads.tasks.mmlongbench.subtasks import SUBTASKS
from coreheads.tasks.mmlongbench.task import regions
from coreheads.tasks.reading.documents import Doc, Messages, fields_of, image, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.smol.prompts import numbered, prompt, query, said

__all__ = ["media", "query", "regions"]

SUBTASK, LENGTH = "mmlongdoc", 8


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, [(SUBTASKS[SUBTASK].name(LENGTH), "questions"), (f"{data.IMAGES}/*", "pages")])


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return numbered(data.records(source.within(split), SUBTASK, SUBTASKS[SUBTASK], LENGTH), split)


def messages(doc: Doc) -> Messages:
    record = data.content(doc)
    with fields_of(data.where(doc)):
        paths = [data.image_path(doc, name) for name in record["page_list"]]
    pages = (image(decode(path.read_bytes(), str(path))) for path in paths)
    return user_turn(*pages, text(prompt(doc["question"])))


def target(doc: Doc) -> str:
    return f" {doc['answer']}."


def scores(doc: Doc, response: str) -> dict[str, float]:
    """By MMLongBench's measure of document questions; the response itself is the prediction."""
    answer = said(response)
    value = score(answer, doc["answer"], "docqa", doc["answer_format"], doc["place"])
    return {"score": value, "unparsed": float(not answer)}
