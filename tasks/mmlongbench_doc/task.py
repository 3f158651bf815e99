"""MMLongBench-Doc as a task: all pages of the document up to a budget, then the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from coreheads.media.pdf import page_count
from coreheads.tasks.mmlongbench_doc import data, extraction
from coreheads.tasks.mmlongbench_doc.data import expected, media, records, regions
from coreheads.tasks.mmlongbench_doc.scoring import accuracy_f1, score_answer
from coreheads.tasks.reading.documents import Doc, Messages, labelled, text, user_turn
from coreheads.tasks.scoring.short_answers import NOT_ANSWERABLE, RULES, by_rules, understood

__all__ = ["expected", "media", "records", "regions"]

PROMPT = (
    "These are the pages of a document. Answer this question about it with a number, a few words or a list: "
    "{question}\n"
    f'If the document does not tell, answer "{NOT_ANSWERABLE}". Write "Answer:" before your answer.'
)


def variant(options: Mapping[str, Any]) -> str:
    """How the short answer is found in the response, and which pages are shown: what a figure must be quoted with."""
    how = RULES if options["extractor"] is None else f"extractor {options['extractor']}"
    return f"{how}, up to {options['max_pages']} pages at {options['dpi']} dpi"


def messages(doc: Doc) -> Messages:
    pages = {f"Page {number}": page for number, page in enumerate(data.pages(doc), 1)}
    return user_turn(*labelled(pages), text(PROMPT.format(question=doc["question"])))


def query(doc: Doc) -> str:
    return str(doc["question"])


def problems(doc: Doc) -> list[str]:
    count = page_count(data.document(doc))
    beyond = [page + 1 for page in doc["pages"] if page >= count]
    odd = [f"evidence_pages has {beyond} of {count} pages"] if beyond else []
    if doc["answer"] != NOT_ANSWERABLE and not doc["pages"]:
        odd.append("answerable, but evidence_pages names no page")
    if doc["answer"] == NOT_ANSWERABLE and doc["pages"]:
        odd.append("not answerable, but evidence_pages names pages")
    return odd


def target(doc: Doc) -> str:
    return f"Answer: {doc['answer']}"


def extracted(doc: Doc, response: str) -> str:
    """The prediction that is scored; see ``tasks.scoring.short_answers`` and ``extraction``."""
    if doc["extractor"] is None:
        return by_rules(response, doc["answer_format"])
    return _asked(doc["question"], response, doc["extractor"], doc["extractor_url"])


_asked = lru_cache(maxsize=4096)(extraction.by_model)  # a response is scored by two roads, and asked about once


def scores(doc: Doc, response: str) -> dict[str, float]:
    said = extracted(doc, response)
    return {
        "accuracy": score_answer(doc["answer"], said, doc["answer_format"]),
        "unparsed": float(not understood(said, doc["answer_format"])),
    }


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """What F1, which is no mean over samples, is computed from."""
    return {"f1": {"answer": doc["answer"], "pred": extracted(doc, response), "score": scores["accuracy"]}}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {"f1": accuracy_f1([row["f1"] for row in rows])[1]}
