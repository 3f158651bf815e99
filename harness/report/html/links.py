"""Where the page leads to. Nothing is fetched: a link is followed by a click, and none is made of what is no name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from coreheads.errors import UserError
from coreheads.store.board import Board, Row
from coreheads.tasks import registry

PAPER = "https://arxiv.org/abs/2606.05843"
HUB = "https://huggingface.co"
CITATION = """@misc{coreheads2026mechanistic,
  title         = {Mechanistic Insights into Functional Sparsity in Multimodal {LLMs} via {CoRe} Heads},
  year          = {2026},
  eprint        = {2606.05843},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2606.05843}
}"""
"""Of the paper, for BibTeX."""


def models(board: Board) -> dict[str, str]:
    """The address of every model whose checkpoint has the form of a hub id, by what the board calls it."""
    return {
        summary["model"]: f"{HUB}/{summary['id']}"
        for summary in board["heads"]
        if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", summary["id"], re.ASCII)
    }


def tasks(board: Board) -> dict[str, str]:
    """The address of every task's data set, of those on the hub."""
    found = {}
    for name in dict.fromkeys(row["task"] for row in board["rows"]):
        try:
            hub = registry.get(name).hub
        except UserError:  # a task of another version or package
            continue
        if hub:
            found[name] = f"{HUB}/datasets/{hub}"
    return found


def files(board: Board, run: str) -> list[str]:
    """The files that every folder of such a run has, also a published one."""
    timed = any(row["run"] == run and row["prefill_ms"] is not None for row in board["rows"])
    return ["manifest.json", "cells.jsonl", *(["timings.jsonl"] if timed else [])]


def answers(row: Row, places: Mapping[str, str]) -> str | None:
    """The address of the file with a row's answers, where its run lies beside the page; of several draws the first."""
    place = places.get(row["run"])
    return None if place is None or not row["cells"] else f"{place}samples/{quote(row['cells'][0])}.jsonl"
