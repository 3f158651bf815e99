"""How the printed documents are asked about: the question, then the answer's beginning.

SmolLM2 at this size answers best as the base model that it was: it goes on with a sentence that has been begun. The
query is the question: the person's bare name would also be found in the answer's beginning, where other heads look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from coreheads.errors import BadSample
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.smol.world import RELATIONS

PROMPT = "\n\nQuestion: {question}\nAnswer: {begins}"

_ASKED = {
    re.compile(re.escape(relation.question).replace(r"\{name\}", "(.+)")): relation for relation in RELATIONS.values()
}


def begins(question: str) -> str:
    """The answer's beginning; BadSample where it is no question of this world."""
    for pattern, relation in _ASKED.items():
        if match := pattern.fullmatch(question):
            return relation.begins.format(name=match[1])
    raise BadSample(f"question: {question!r}, expected one about a relation of the printed documents")


def prompt(question: str) -> str:
    return PROMPT.format(question=question, begins=begins(question))


def query(doc: Doc) -> str:
    return str(doc["question"])


def said(response: str) -> str:
    """The response without what ends the sentence."""
    return response.strip().rstrip(".").strip()


def numbered(docs: Iterable[Doc], split: str) -> list[Doc]:
    """Records with the split in their ids."""
    return [doc | {"record_id": f"{split}/{doc['record_id']}"} for doc in docs]
