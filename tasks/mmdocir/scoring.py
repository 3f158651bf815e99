"""MMDocIR's measures: how much of the true pages, and of the true layout boxes, was retrieved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coreheads.errors import UserError
from coreheads.tasks.boxes import area, intersection

_PAGE = re.compile(r"\d+")


def page_recall(retrieved: Iterable[int], gold: Iterable[int]) -> float:
    """Share of the gold pages that are among the retrieved ones; cut ``retrieved`` to its first k for Recall@k."""
    wanted = set(gold)
    if not wanted:
        raise UserError("gold: no page, expected at least one")
    return len(wanted & set(retrieved)) / len(wanted)


def layout_recall(predicted: Sequence[Mapping[str, Any]], gold: Sequence[Mapping[str, Any]]) -> float:
    """Area of the gold boxes that predicted boxes of the same page cover, as a share of the gold area.

    Items are {"page", "bbox": x0, y0, x1, y1}, in the same units. As in the official script every predicted box is
    added up by itself, so that overlapping ones can give more than 1. 0 where the gold boxes have no area.
    """
    total = sum(area(box["bbox"]) for box in gold)
    covered = sum(
        intersection(box["bbox"], other["bbox"]) for box in predicted for other in gold if box["page"] == other["page"]
    )
    return covered / total if total > 0 else 0.0


def read_page(response: str) -> int | None:
    """The first number of a response such as "#7", as a page number counted from 0."""
    match = _PAGE.search(response)
    return None if match is None else int(match[0])
