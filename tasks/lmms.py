"""The lmms-eval side of the tasks: our YAML files name this class, and it takes everything from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmms_eval.api.task import ConfigurableMessagesTask

from coreheads.errors import UserError
from coreheads.tasks import registry
from coreheads.tasks.documents import Doc
from coreheads.tasks.mlvu.scoring import m_avg as _m_avg
from coreheads.tasks.mmlongbench_doc.scoring import accuracy_f1


class Docs(list[Doc]):
    """Records where lmms-eval expects a data set: they have ``features``, and are read without datasets' cache."""

    @property
    def features(self) -> dict[str, None]:
        return dict.fromkeys(self[0]) if self else {}


class BenchmarkTask(ConfigurableMessagesTask):  # type: ignore[misc]
    """A task of the registry for lmms-eval's chat models (a model that has only a "simple" class is not served).

    Of the YAML it takes ``task`` (the registry's name), ``dataset_kwargs`` with ``split`` (profile or test) and
    ``data_root`` (null: the registry's own place), ``generation_kwargs`` and ``metric_list``.
    """

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        benchmark = registry.get(config["task"])
        self.benchmark = benchmark
        settings = {key: value for key, value in config.items() if key != "class"}
        settings |= {
            "doc_to_messages": benchmark.messages,
            "doc_to_text": _text_of(benchmark),
            "doc_to_visual": _visuals_of(benchmark),
            "doc_to_target": benchmark.target,
            "process_results": _results_of(benchmark),
        }
        super().__init__(config=settings, **kwargs)

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        """Records from the registry, which makes mini data on first use; media stay closed until they are asked for."""
        wanted = dataset_kwargs or {}
        split = wanted.get("split", "test")
        docs = Docs(self.benchmark.records(split, data_root=wanted.get("data_root")))
        if not docs:
            raise UserError(f"{self.benchmark.name}: no records in split {split}")
        self.dataset = {self.config.test_split: docs}
        self.dataset_no_image = self.dataset


def _text_of(benchmark: registry.Task) -> Any:
    def doc_to_text(doc: Doc) -> str:
        return str(doc["prompt"])

    return doc_to_text


def _visuals_of(benchmark: registry.Task) -> Any:
    def doc_to_visual(doc: Doc) -> list[Any]:
        parts = [part for turn in benchmark.messages(doc) for part in turn["content"]]
        return [part["url"] for part in parts if part["type"] != "text"]

    return doc_to_visual


def _results_of(benchmark: registry.Task) -> Any:
    def process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
        # a logged sample has the record's id in its doc; only metrics belong here
        return {**benchmark.doc_scores(doc, results[0]), **benchmark.details(doc, results[0])}

    return process_results


def f1(rows: Sequence[dict[str, Any]]) -> float:
    """Aggregation of MMLongBench-Doc's F1."""
    return accuracy_f1(rows)[1]


def m_avg(rows: Sequence[dict[str, Any]]) -> float:
    """Aggregation of MLVU's M-Avg."""
    return _m_avg(rows)
