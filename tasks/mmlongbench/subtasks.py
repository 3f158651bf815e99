"""MMLongBench's sub-tasks that are measured here: their files, their metric, what their answers look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coreheads.errors import UserError

LENGTHS = (8, 16, 32, 64, 128)
"""Thousands of tokens, counted as 14 x 14 patches that are merged two by two."""

Metric = Literal["docqa", "binary", "choice", "count", "contains"]
Layout = Literal["pages", "haystack", "interleaved", "documents"]


@dataclass(frozen=True)
class Subtask:
    """file: below mmlb_data, with the length to put in. layout: how the context is built. images: its archive."""

    file: str
    metric: Metric
    layout: Layout
    images: str

    def name(self, length: int) -> str:
        return f"mmlb_data/{self.file.format(length=length)}"


SUBTASKS = {
    "longdocurl": Subtask("documentQA/longdocurl_K{length}.jsonl", "docqa", "pages", "5_docqa_image"),
    "mmlongdoc": Subtask("documentQA/mmlongdoc_K{length}.jsonl", "docqa", "pages", "5_docqa_image"),
    "slidevqa": Subtask("documentQA/slidevqa_K{length}.jsonl", "docqa", "pages", "5_docqa_image"),
    "vh_single": Subtask("NIAH/vh_single_test_1000_K{length}_dep6.jsonl", "binary", "haystack", "2_vh_image"),
    "vh_multi": Subtask("NIAH/vh_multi_test_1000_K{length}_dep3.jsonl", "binary", "haystack", "2_vh_image"),
    "retrieval-image": Subtask(
        "NIAH/retrieval-image_test_K{length}_dep6.jsonl", "choice", "interleaved", "2_mm-niah_image"
    ),
    "counting-image": Subtask(
        "NIAH/counting-image_test_K{length}_dep3.jsonl", "count", "interleaved", "2_mm-niah_image"
    ),
    "reasoning-image": Subtask(
        "NIAH/reasoning-image_test_K{length}_dep6.jsonl", "choice", "interleaved", "2_mm-niah_image"
    ),
    "infoseek": Subtask("vrag/infoseek_K{length}_dep3.jsonl", "contains", "documents", "1_vrag_image"),
    "viquae": Subtask("vrag/viquae_K{length}_dep6.jsonl", "contains", "documents", "1_vrag_image"),
}


def chosen(names: Sequence[str] | None) -> dict[str, Subtask]:
    """The sub-tasks of these names; None is all. UserError for a name that is none."""
    for name in names or ():
        if name not in SUBTASKS:
            raise UserError(f"options.subtasks: {name!r}, expected some of {', '.join(SUBTASKS)}")
    return {name: SUBTASKS[name] for name in names or SUBTASKS}


def lengths(values: Sequence[int]) -> tuple[int, ...]:
    """The lengths asked for; UserError for one that is not published."""
    for value in values:
        if value not in LENGTHS:
            raise UserError(f"options.lengths: {value!r}, expected some of {', '.join(map(str, LENGTHS))}")
    return tuple(values)
