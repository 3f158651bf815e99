"""The mini task over MMDocIR's format: which page shows the named thing?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import query, samples, within
from coreheads.tasks.mmdocir import data
from coreheads.tasks.mmdocir.data import media, regions
from coreheads.tasks.mmdocir.scoring import page_recall, read_page
from coreheads.tasks.reading.documents import Doc, Messages, image, text, user_turn
from coreheads.tasks.reading.sources import Source

__all__ = ["media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected(split, options))


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return samples(data.records(source.within(split), split, options), split)


def messages(doc: Doc) -> Messages:
    return user_turn(*(image(page) for page in data.pages(doc)), text(doc["prompt"]))


def target(doc: Doc) -> str:
    return " ".join(f"#{page}" for page in doc["pages"])


def scores(doc: Doc, response: str) -> dict[str, float]:
    page = read_page(response)
    retrieved = [] if page is None else [page]
    return {"recall_1": page_recall(retrieved, doc["pages"]), "unparsed": float(page is None)}
