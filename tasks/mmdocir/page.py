"""MMDocIR, page retrieval as a task: the numbers of the pages that answer the question."""

from __future__ import annotations

import json

from coreheads.tasks.mmdocir.data import expected, media, pages_then, problems, query, records, regions
from coreheads.tasks.mmdocir.scoring import FIRST_PAGE, aggregate, details, page_recall, read_pages
from coreheads.tasks.reading.documents import Doc, Messages

__all__ = ["aggregate", "details", "expected", "media", "problems", "query", "records", "regions"]

PROMPT = (
    "These are the pages of a document. Which of them are needed to answer this question? {question}\n"
    "Answer with page numbers only, the most relevant page first, at most five: [page, page, ...]."
)

RANKS = (1, 3, 5)


def messages(doc: Doc) -> Messages:
    return pages_then(doc, PROMPT.format(question=doc["question"]))


def target(doc: Doc) -> str:
    return json.dumps([page + FIRST_PAGE for page in doc["pages"]])


def scores(doc: Doc, response: str) -> dict[str, float]:
    said = read_pages(response)
    recalls = {f"recall_{rank}": page_recall(said[:rank], doc["pages"]) for rank in RANKS}
    return {**recalls, "unparsed": float(not said)}
