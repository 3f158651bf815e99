"""What tasks there are, and what can be asked of each. Nothing heavy is imported until a task's media are opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.tasks.documents import Doc

SPLITS = ("profile", "test")
"""Heads are found on the first and judged on the second."""


@dataclass(frozen=True)
class Expected:
    """A file or folder that a task reads: where it is looked for, what it is, whether it is there."""

    path: Path
    what: str
    present: bool


@dataclass(frozen=True)
class Task:
    """One benchmark task. Its functions live in ``module``, its lmms-eval YAML in ``folder``.

    kind: rec (box in an image), vidstg (box and time in a video), page (page of a document), docqa (long document
    question answering) or mcq (multiple choice about a video). metric: the main one, a mean over samples;
    metrics: all means; aggregates: scores of the whole set that are no means. benchmark: its folder under a data root.
    """

    name: str
    kind: str
    benchmark: str
    module: str
    metric: str
    metrics: tuple[str, ...]
    summary: str
    aggregates: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return path() / "mini"

    @property
    def yaml(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def _functions(self) -> Any:
        return import_module(self.module)

    def root(self, data_root: str | Path | None = None) -> Path:
        """The benchmark's folder: ``data_root``/<benchmark> where that holds mini data, else generated and cached."""
        from coreheads.tasks.mini.data import MARKER, ensure

        if data_root is not None and (Path(data_root) / self.benchmark / MARKER).is_file():
            return Path(data_root) / self.benchmark
        return ensure([self.benchmark]) / self.benchmark

    def expected(self, data_root: str | Path | None = None, split: str = "test") -> list[Expected]:
        """What ``records`` would read; generates nothing."""
        from coreheads.tasks.mini.data import MARKER, cache_folder, version

        root = cache_folder() / version() / self.benchmark
        if data_root is not None and (Path(data_root) / self.benchmark / MARKER).is_file():
            root = Path(data_root) / self.benchmark
        found: list[tuple[Path, str]] = self._functions().expected(root, _known(split))
        return [Expected(file, what, file.exists()) for file, what in found]

    def records(self, split: str = "test", limit: int | None = None, data_root: str | Path | None = None) -> list[Doc]:
        """The first ``limit`` samples of a split (None: all), in the order of the files; no media are opened."""
        docs: list[Doc] = self._functions().records(self.root(data_root), _known(split))
        return docs if limit is None else docs[:limit]

    def messages(self, doc: Doc) -> list[dict[str, Any]]:
        """The prompt in the chat format of lmms-eval and transformers; images as PIL, videos as path."""
        turns: list[dict[str, Any]] = self._functions().messages(doc)
        return turns

    def query(self, doc: Doc) -> str:
        """The words that name what is looked for."""
        return str(doc["query"])

    def regions(self, doc: Doc) -> list[Region]:
        """Where the answer is; empty where the benchmark does not say."""
        found: list[Region] = self._functions().regions(doc)
        return found

    def target(self, doc: Doc) -> str:
        """A right answer as the prompt asks for it."""
        return str(self._functions().target(doc))

    def record_id(self, doc: Doc) -> str:
        return str(doc["record_id"])

    def doc_scores(self, doc: Doc, response: str) -> dict[str, float]:
        """One response's score by each of ``metrics``; what cannot be read is wrong, and ``unparsed`` is 1."""
        scores: dict[str, float] = self._functions().scores(doc, response)
        return scores

    def details(self, doc: Doc, response: str) -> dict[str, Any]:
        """What each of ``aggregates`` needs to know of one response."""
        values: dict[str, Any] = self._functions().details(doc, response) if self.aggregates else {}
        return values

    def aggregate(self, docs: Sequence[Doc], responses: Sequence[str]) -> dict[str, float]:
        """Every score of the whole set: the means of ``metrics``, and ``aggregates``."""
        if not docs or len(docs) != len(responses):
            raise UserError(f"{self.name}: {len(docs)} records and {len(responses)} responses, expected as many, not 0")
        rows = [self.doc_scores(doc, response) for doc, response in zip(docs, responses, strict=True)]
        scores = {metric: sum(row[metric] for row in rows) / len(rows) for metric in self.metrics}
        if self.aggregates:
            details = [self.details(doc, response) for doc, response in zip(docs, responses, strict=True)]
            scores |= self._functions().aggregate(details)
        return scores

    def fingerprint(self, docs: Sequence[Doc]) -> str:
        """Hash of the records, whatever folder they lie in."""
        lines = [json.dumps({key: doc[key] for key in sorted(doc) if key != "root"}) for doc in docs]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _known(split: str) -> str:
    if split not in SPLITS:
        raise UserError(f"split: {split!r}, expected one of {', '.join(SPLITS)}")
    return split


def _mini(kind: str, benchmark: str, metrics: tuple[str, ...], summary: str, *aggregates: str) -> Task:
    return Task(
        name=f"coreheads_mini_{benchmark}",
        kind=kind,
        benchmark=benchmark,
        module=f"coreheads.tasks.mini.{benchmark}",
        metric=metrics[0],
        metrics=(*metrics, "unparsed"),
        summary=summary,
        aggregates=aggregates,
    )


_TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        _mini("rec", "refcocog", ("acc_0.5", "iou"), "box of a named thing in an image"),
        _mini(
            "vidstg",
            "vidstg",
            ("m_tiou", "m_viou", "viou_0.3", "viou_0.5"),
            "seconds and box of a named thing in a video",
        ),
        _mini("page", "mmdocir", ("recall_1",), "page of a document that shows a named thing"),
        _mini("docqa", "mmlongbench_doc", ("accuracy",), "digit beside a named thing in a long PDF", "f1"),
        _mini("mcq", "mlvu", ("accuracy",), "digit beside a named thing in a long video, four options", "m_avg"),
    )
}


def names() -> list[str]:
    """Every task's name."""
    return list(_TASKS)


def get(name: str) -> Task:
    """The task of that name; UserError with the known names where there is none."""
    if name not in _TASKS:
        raise UserError(f"task: {name!r}, expected one of {', '.join(_TASKS)}")
    return _TASKS[name]


def path() -> Path:
    """The folder for lmms-eval's ``--include_path``."""
    return Path(__file__).resolve().parent
