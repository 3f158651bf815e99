"""What the two MMDocIR tasks share: pages in the prompt, the question as query, means over domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.mmdocir import data
from coreheads.tasks.reading.documents import Doc, Messages, labelled, text, user_turn
from coreheads.tasks.scoring.means import macro

FIRST_PAGE = 1
"""As printed in the prompts."""


def pages_then(doc: Doc, question: str) -> Messages:
    """One message: every page up to the budget after its label, then the question."""
    pages = data.pages(doc, doc["max_pages"])
    labels = {f"Page {number}": page for number, page in enumerate(pages, FIRST_PAGE)}
    return user_turn(*labelled(labels), text(question))


def query(doc: Doc) -> str:
    return str(doc["question"])


def regions(doc: Doc) -> list[Region]:
    """The layout boxes; whole gold pages where none of them has an area."""
    first, end = doc["rows"]
    shown = min(end - first, doc["max_pages"])
    boxes = data.layout_regions(doc["layouts"], shown)
    return boxes or [Region(media=page) for page in doc["pages"] if page < shown]


def by_domain(doc: Doc, scores: Mapping[str, float], names: Sequence[str]) -> dict[str, Any]:
    """What the means over domains are computed from."""
    return {f"{name}_macro": {"group": doc["domain"], "score": scores[name]} for name in names}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Macro means: over domains of the means over their questions, as the official script prints beside the micro."""
    return {name: macro([row[name] for row in rows]) for name in rows[0]}
