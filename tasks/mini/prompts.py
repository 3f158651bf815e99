"""The mini tasks' questions name their thing; this finds the name, which is the query."""

from __future__ import annotations

import re
from collections.abc import Iterable

from coreheads.errors import UserError
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.reading.documents import Doc

FAMILY = "qwen"
"""The embedded model answers in Qwen3-VL's coordinates."""

PUBLISHED = {"profile": "val", "test": "test"}
"""The real benchmark's names of our splits, where it has several."""

_WORD = re.compile(r"[a-z]+-[a-z]+")


def name_in(question: str) -> str:
    """The only object name of a question such as "which page has the red-star?"."""
    names = [word for word in _WORD.findall(question) if word in NAMES]
    if len(names) != 1:
        raise UserError(f"question: {question!r}, expected the name of one object of the mini world")
    return str(names[0])


def within(split: str, files: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """A benchmark's expected files, in the folder of a split."""
    return [(" or ".join(f"{split}/{name}" for name in names.split(" or ")), what) for names, what in files]


def query(doc: Doc) -> str:
    return str(doc["query"])


def samples(docs: Iterable[Doc], split: str) -> list[Doc]:
    """Records of a document benchmark as samples: the question is the prompt, the name in it the query."""
    return [
        doc | {"record_id": f"{split}/{doc['record_id']}", "prompt": doc["question"], "query": name_in(doc["question"])}
        for doc in docs
    ]
