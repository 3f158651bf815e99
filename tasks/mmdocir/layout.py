"""MMDocIR, layout retrieval as a task: boxes on the pages that answer the question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coreheads.errors import BadSample
from coreheads.tasks.mmdocir.data import Layout, expected, media, pages_then, problems, query, records, regions
from coreheads.tasks.mmdocir.scoring import FIRST_PAGE, PageBox, aggregate, details, layout_recall, read_layouts
from coreheads.tasks.reading.documents import Doc, Messages
from coreheads.tasks.scoring.boxes import area, fraction_of, scaled
from coreheads.tasks.scoring.families import wording, written

__all__ = ["aggregate", "details", "expected", "media", "problems", "query", "records", "regions"]

PROMPT = (
    "These are the pages of a document. Which parts of them (paragraphs, tables, figures) are needed to answer this "
    "question? {question}\nAnswer with JSON only, the most relevant part first, at most ten: "
    '[{{"page": ..., "bbox_2d": [x1, y1, x2, y2]}}, ...], with boxes in {coordinates}.'
)

RANKS = (1, 5, 10)


def messages(doc: Doc) -> Messages:
    _gold(doc)  # what cannot be scored need not be asked
    return pages_then(doc, PROMPT.format(question=doc["question"], coordinates=wording(doc["family"])))


def variant(options: Mapping[str, Any]) -> str:
    """Where the score is not the official script's."""
    return "area recall at most 1 (official_layout_recall_*: without that bound)"


def _gold(doc: Doc) -> list[Layout]:
    """The gold boxes in points. BadSample where they cover nothing: then no recall is defined."""
    gold: list[Layout] = doc["layouts"]
    if sum(area(item["bbox"]) for item in gold) <= 0:
        boxes = [item["bbox"] for item in gold]
        raise BadSample(
            f"{doc['doc_name']}: layout_mapping of {doc['record_id']} is {boxes}, expected a box with an area"
        )
    return gold


def target(doc: Doc) -> str:
    return json.dumps(
        [
            {
                "page": item["page"] + FIRST_PAGE,
                "bbox_2d": written(fraction_of(item["bbox"], *item["page_size"]), doc["family"]),
            }
            for item in doc["layouts"]
        ]
    )


def scores(doc: Doc, response: str) -> dict[str, float]:
    """Area recall of the first 1, 5 and 10 boxes, at most 1; ``area`` is how much of a page they cover on average.

    The official script adds up overlaps, so that its recall can exceed 1; a model that writes boxes freely could win
    by that, so a sample's recall ends at 1 (``official_layout_recall_*`` does not). A box around a whole page has full
    recall: read ``area`` beside it.
    """
    gold = _gold(doc)
    sizes = {item["page"]: item["page_size"] for item in gold}
    said = read_layouts(response, doc["family"])
    points: list[PageBox] = []
    for item in said:
        size = sizes.get(item["page"], gold[0]["page_size"])
        points.append({"page": item["page"], "bbox": list(scaled(item["bbox"], *size))})
    official = {f"official_layout_recall_{rank}": layout_recall(points[:rank], gold) for rank in RANKS}
    recalls = {f"layout_recall_{rank}": min(1.0, official[f"official_layout_recall_{rank}"]) for rank in RANKS}
    covered = [area(fraction_of(item["bbox"], 1, 1)) for item in said[: max(RANKS)]]
    return {**recalls, **official, "area": sum(covered) / len(covered) if covered else 0.0, "unparsed": float(not said)}
