"""How a model is asked to retrieve: labelled pages, then the question. Pages are printed from 1."""

from __future__ import annotations

from coreheads.tasks.scoring.families import wording

FIRST_PAGE = 1

PAGE = (
    "These are the pages of a document. Which of them are needed to answer this question? {question}\n"
    "Answer with page numbers only, the most relevant page first, at most five: [page, page, ...]."
)

LAYOUT = (
    "These are the pages of a document. Which parts of them (paragraphs, tables, figures) are needed to answer this "
    "question? {question}\nAnswer with JSON only, the most relevant part first, at most ten: "
    '[{{"page": ..., "bbox_2d": [x1, y1, x2, y2]}}, ...], with boxes in {coordinates}.'
)


def page_prompt(question: str) -> str:
    return PAGE.format(question=question)


def layout_prompt(question: str, family: str) -> str:
    return LAYOUT.format(question=question, coordinates=wording(family))
