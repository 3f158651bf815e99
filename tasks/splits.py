"""Which records find heads and which judge them: published splits, or parts of one cut by a hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from coreheads.tasks.reading.documents import Doc

PROFILE_SHARE = 0.2
"""Of the documents, where a benchmark has a single published split."""


@dataclass(frozen=True)
class Split:
    """A published split (``source``), or the part of one: ``profile`` (a fifth of its groups) or ``rest``.

    Which part a group (an image, a video, a document) is in depends on its name alone: on no order, no other group,
    and no benchmark, so that two benchmarks over the same documents divide them alike. apart_from: another published
    split whose groups are taken out, where the two are known to share some.
    """

    source: str
    part: Literal["all", "profile", "rest"] = "all"
    apart_from: str | None = None

    def holds(self, group: str) -> bool:
        if self.part == "all":
            return True
        in_profile = _share(f"split {group.removesuffix('.pdf')}") < PROFILE_SHARE
        return in_profile == (self.part == "profile")

    def overlaps(self, other: Split) -> bool:
        """Whether a record can be in both."""
        return self.source == other.source and ("all" in (self.part, other.part) or self.part == other.part)


def chosen(docs: Iterable[Doc], split: Split) -> list[Doc]:
    """The records of the split. Groups stand in the order of a hash, so that the first n are no corner of the set."""
    kept = [doc for doc in docs if split.holds(doc["group"])]
    return sorted(kept, key=lambda doc: _share(f"order {doc['group']}"))


def drawn(docs: Sequence[Doc], most: int | None) -> list[Doc]:
    """Of every sub-task and length the records of ``most`` ids (None: all), drawn by a hash, in the order they have."""
    if most is None:
        return list(docs)
    ids: dict[tuple[str, int], set[str]] = {}
    for doc in docs:
        ids.setdefault((doc["subtask"], doc["length"]), set()).add(_id(doc))
    kept = {part: set(sorted(names, key=lambda name: _share(f"draw {name}"))[:most]) for part, names in ids.items()}
    return [doc for doc in docs if _id(doc) in kept[doc["subtask"], doc["length"]]]


def _id(doc: Doc) -> str:
    return str(doc.get("id", doc["record_id"]))


def distinct(docs: Sequence[Doc]) -> list[Doc]:
    """The records; the second, third ... one of an id gets ``#2``, ``#3`` ... after it."""
    seen: Counter[str] = Counter()
    named = []
    for doc in docs:
        record = doc["record_id"]
        seen[record] += 1
        named.append(doc if seen[record] == 1 else doc | {"record_id": f"{record}#{seen[record]}"})
    return named


def _share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
