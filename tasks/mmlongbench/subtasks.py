"""MMLongBench's sub-tasks that are measured here: their files, their metric, what their answers look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
