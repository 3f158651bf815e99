"""Looks at a task's data record by record, opening its media, and collects what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coreheads.errors import BadSample, UserError
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.scoring.families import FAMILIES
from coreheads.tasks.task import Task

UNUSABLE, ODD, DUPLICATE = "cannot be scored", "odd, but scored", "id is there twice"

_REPEATED = re.compile(r"#\d+$")
"""How the registry ends the second, third ... record of an id."""


@dataclass
class Findings:
    """checked: records looked at. counts: by kind and by a short form of the text; examples: the first of each.
    unscored: records that cannot be used. without_regions: usable records on which no heads can be found, because the
    benchmark names no place for them, or none that is shown."""

    checked: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    unscored: int = 0
    without_regions: int = 0

    def add(self, kind: str, text: str, example: str) -> None:
        key = kind, _short(text)
        self.counts[key] += 1
        self.examples.setdefault(key, example)


def validate(
    task: Task,
    split: str = "test",
    limit: int | None = None,
    data_root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Findings:
    """Findings over the first ``limit`` records (None: all) of a split.

    Every record's media are opened as for a prompt; of a video the first and the last frame are decoded. A bar on
    stderr tells how far it is. UserError where the set as a whole cannot be used.
    """
    from rich.console import Console
    from rich.progress import track

    docs = task.records(split, limit, data_root, family=next(iter(FAMILIES)), options=options)
    findings = Findings()
    for doc in track(docs, f"checking {task.name}", console=Console(stderr=True), transient=True):
        findings.checked += 1
        record = task.record_id(doc)
        if _REPEATED.search(record):
            findings.add(DUPLICATE, "record id", record)
        try:
            for text in _odd(task, doc, findings):
                findings.add(ODD, text, f"{record}: {text}")
        except BadSample as error:
            findings.unscored += 1
            findings.add(UNUSABLE, str(error), f"{record}: {error}")
    return findings


def _odd(task: Task, doc: Doc, findings: Findings) -> Iterator[str]:
    """What is odd about a usable record; BadSample for one that is not."""
    from coreheads.media.video import read_frames

    parts = [part for turn in task.messages(doc) for part in turn["content"] if part["type"] != "text"]
    for part in parts:
        if part["type"] == "video":
            read_frames(Path(part["url"]), lambda total: [0, total - 1])
    try:
        regions = task.regions(doc)
        for region in regions:
            region.check(len(parts))
    except UserError as error:
        if isinstance(error, BadSample):
            raise
        yield str(error)
    else:
        findings.without_regions += not regions
    task.doc_scores(doc, "")
    yield from task.problems(doc)


def _short(text: str) -> str:
    """The text without what differs from record to record: paths and numbers."""
    words = text.rsplit("/", 1)[-1] if ": " not in text else text.split(": ", 1)[-1]
    return re.sub(r"[-+]?\d+(?:\.\d+)?", "N", re.sub(r"\S*/\S*", "...", words))[:100]
