"""MMDocIR's measures: how much of the true pages, and of the true layout boxes, was retrieved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from coreheads.errors import UserError
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.scoring.answers import answered, json_objects
from coreheads.tasks.scoring.boxes import area, boxes_of, intersection
from coreheads.tasks.scoring.families import normalised
from coreheads.tasks.scoring.means import macro
from coreheads.tasks.scoring.pages import page_of, pages_of

FIRST_PAGE = 1
"""As printed in the prompts."""

_PRINTED, _WHOLE = re.compile(r"#\s*(\d{1,9})(?!\d|[.,]\d)"), re.compile(r"\s*(\d{1,9})\s*\.?\s*")


class PageBox(TypedDict):
    """A box on a page, in any unit that the page's other boxes have, too."""

    page: int  # from 0
    bbox: list[float]  # x0, y0, x1, y1


def page_recall(retrieved: Iterable[int], gold: Iterable[int]) -> float:
    """Share of the gold pages that are among the retrieved ones; cut ``retrieved`` to its first k for Recall@k."""
    wanted = set(gold)
    if not wanted:
        raise UserError("gold: no page, expected at least one")
    return len(wanted & set(retrieved)) / len(wanted)


def layout_recall(predicted: Sequence[PageBox], gold: Sequence[PageBox]) -> float:
    """Area of the gold boxes that predicted boxes of the same page cover, as a share of the gold area.

    As in the official script every predicted box is added up by itself, so that overlapping ones can give more than 1.
    0 where the gold boxes have no area.
    """
    total = sum(area(box["bbox"]) for box in gold)
    covered = sum(
        intersection(box["bbox"], other["bbox"]) for box in predicted for other in gold if box["page"] == other["page"]
    )
    return covered / total if total > 0 else 0.0


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """What the means over domains of recalls are computed from."""
    recalls = {name: score for name, score in scores.items() if name.startswith(("recall", "layout_recall"))}
    return {f"{name}_macro": {"group": doc["domain"], "score": score} for name, score in recalls.items()}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Macro means: over domains of the means over their questions, as the official script prints beside the micro."""
    return {name: macro([row[name] for row in rows]) for name in rows[0]}


def read_pages(response: str) -> list[int]:
    """The pages of a response such as "[7, 3]", in order and each once, counted from 0; see ``pages_of``."""
    return [page - FIRST_PAGE for page in pages_of(response)]


def read_layouts(response: str, family: str) -> list[PageBox]:
    """The [{"page", "bbox"}] of a response such as [{"page": 7, "bbox_2d": [...]}]: pages from 0, boxes in 0..1.

    Entries without a page or a box are left out, and so is a box that was given already: a retriever cannot return
    one layout twice.
    """
    boxes: list[PageBox] = []
    for entry in json_objects(answered(response)):
        page = page_of(entry.get("page"))
        for corners in boxes_of(entry) if page else []:
            item: PageBox = {"page": (page or 0) - FIRST_PAGE, "bbox": list(normalised(corners, family))}
            if item not in boxes:
                boxes.append(item)
    return boxes


def read_page(response: str) -> int | None:
    """The first number after "#" of a response such as "#7", or one that is all of it; a page counted from 0."""
    said = answered(response)
    match = _PRINTED.search(said) or _WHOLE.fullmatch(said)
    return None if match is None else int(match[1])
