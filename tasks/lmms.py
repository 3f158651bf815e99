"""The lmms-eval side of the tasks: our YAML files name this class, and it takes everything from the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lmms_eval.api.metrics import mean
from lmms_eval.api.task import ConfigurableMessagesTask
from loguru import logger

from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading.documents import Doc, text, user_turn
from coreheads.tasks.task import UNSCORED, Task
from coreheads.text import visible

_SETTINGS = ("split", "data_root", "family")
"""Names in dataset_kwargs that are ours; every other is an option of the task."""


LOWER_IS_BETTER = ("area", "unparsed")
"""Metrics; every other is better the higher it is."""


class Docs(list[Doc]):
    """Records where lmms-eval expects a data set: they have ``features``, and are read without datasets' cache.

    A model has them in its ``task_dict``; ours finds their task there.
    """

    def __init__(self, docs: Iterable[Doc], task: BenchmarkTask) -> None:
        super().__init__(docs)
        self.task = task

    @property
    def features(self) -> dict[str, None]:
        return dict.fromkeys(self[0]) if self else {}


class BenchmarkTask(ConfigurableMessagesTask):  # type: ignore[misc]
    """A task of the registry for lmms-eval's chat models (a model that has only a "simple" class is not served).

    Of the YAML it takes ``task`` (the registry's name), ``dataset_kwargs``: split, data_root (null: the hub), family
    and the task's options; ``lmms_eval_specific_kwargs``: for lmms-eval's own models the family of each, by the name
    given to --model; ``generation_kwargs``. Metrics are the registry's.

    The model family decides how boxes are asked for and read. It is the first of: ``family`` in dataset_kwargs; what
    the model says of itself by ``serve`` (ours does); the entry of lmms_eval_specific_kwargs.

    A sample that cannot be used is shown to other models as one line of text, and has no score whatever they answer.
    """

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        benchmark = registry.get(config["task"])
        self.benchmark = benchmark
        self.unscored: dict[str, str] = {}
        self._scores: dict[tuple[str, str], Mapping[str, float]] = {}
        self._stops = True
        self._models: dict[str, Any] = config.get("lmms_eval_specific_kwargs") or {}
        self._family: str | None = (config.get("dataset_kwargs") or {}).get("family")
        self._served = False
        dropped = ("class", "lmms_eval_specific_kwargs")
        settings = {key: value for key, value in config.items() if key not in dropped}
        # that it is there says that the metrics are the task's own; the method below is what is called
        settings |= {"metric_list": metric_list(benchmark), "process_results": BenchmarkTask.process_results}
        super().__init__(config=settings, **kwargs)

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        """Records from the registry, which makes mini data on first use; media stay closed until they are asked for."""
        wanted = dataset_kwargs or {}
        options = {key: value for key, value in wanted.items() if key not in _SETTINGS}
        docs = self.benchmark.records(wanted.get("split", "test"), data_root=wanted.get("data_root"), options=options)
        self.variant = self.benchmark.variant(options)
        if self.variant is not None:
            self.config.metadata = {**(self.config.metadata or {}), "variant": self.variant}
        self.docs = Docs(docs, self)
        self.ids = [self.benchmark.record_id(doc) for doc in docs]
        self.dataset = {self.config.test_split: self.docs}
        self.dataset_no_image = self.dataset

    def serve(self, model_type: str) -> None:
        """Told by a model of which family it is, and that it can do without messages: where a sample cannot be used
        ``doc_to_messages`` then raises BadSample, and the model calls ``leave_out``, as it does for other reasons."""
        self._served = True
        if self._family is None:
            self._family = model_type

    def begin(self, scores: Mapping[tuple[str, str], Mapping[str, float]], unscored: Mapping[str, str]) -> None:
        """Start anew, as a harness does that evaluates a task again and again, and judges each time itself whether
        enough could be scored.

        Args:
            scores: Known ones, by record id and response.
            unscored: Why samples have no score, by record id; theirs is not computed.
        """
        self._scores, self.unscored, self._stops = dict(scores), dict(unscored), False

    def score(self, doc: Doc, response: str) -> Mapping[str, float]:
        """A response by each metric, computed once: lmms-eval is given the same numbers.

        Raises:
            BadSample: The sample itself cannot be scored.
        """
        key = self.benchmark.record_id(doc), response
        if key not in self._scores:
            scores = self.benchmark.doc_scores(self.for_family(doc), response)
            self._scores[key] = {name: float(value) for name, value in scores.items()}
        return self._scores[key]

    def leave_out(self, doc: Doc, reason: str) -> str:
        """Count a sample as unscored, for the first reason that is given, which is returned."""
        record = self.benchmark.record_id(doc)
        if record not in self.unscored:
            self.unscored[record] = reason
            logger.warning(visible(f"{self.benchmark.name}: record {record} is not scored: {reason}"))
        return self.unscored[record]

    def build_all_requests(self, **settings: Any) -> None:
        """Built anew each time: ``--cache_requests`` would give out those of other data under the task's name."""
        super().build_all_requests(**settings | {"cache_requests": False})

    def aggregation(self) -> dict[str, Any]:
        return _Means({**super().aggregation(), UNSCORED: self._count_unscored})

    def higher_is_better(self) -> dict[str, Any]:
        return {**super().higher_is_better(), UNSCORED: False}

    def _count_unscored(self, values: Sequence[float]) -> float:
        if values and all(values) and self._stops:
            first = next(iter(self.unscored.items()), ("?", "?"))
            raise UserError(
                f"{self.benchmark.name}: none of {len(values)} samples could be scored; record {first[0]}: {first[1]}"
            )
        return float(sum(values))

    def for_family(self, doc: Doc) -> Doc:
        """The record with the model's family, where prompt or scoring depend on it."""
        if not self.benchmark.by_family:
            return doc
        family = self._family
        if family is None:
            model = getattr(getattr(self, "args", None), "model", None)
            known = self._models.get(str(model)) or self._models.get("default") or {}
            family = known.get("family")
        return {**doc, "family": family}

    def doc_to_messages(self, doc: Doc) -> list[dict[str, Any]]:
        try:
            return self.benchmark.messages(self.for_family(doc))
        except BadSample as error:
            if self._served:
                raise
            self.leave_out(doc, str(error))
            return user_turn(text("This sample cannot be shown."))

    def doc_to_visual(self, doc: Doc) -> list[Any]:
        parts = [part for turn in self.doc_to_messages(doc) for part in turn["content"]]
        return [part["url"] for part in parts if part["type"] != "text"]

    def doc_to_text(self, doc: Doc) -> str:
        """What lmms-eval logs as the context; the prompt itself, with its media, is ``doc_to_messages``'s."""
        return "" if "bad" in doc else self.benchmark.query(doc)

    def doc_to_target(self, doc: Doc) -> str:
        try:
            return self.benchmark.target(self.for_family(doc))
        except UserError:
            return ""  # only logged

    def process_results(self, doc: Doc, results: Sequence[str]) -> dict[str, Any]:
        """Scores, and what the aggregates need to know; of a sample that cannot be scored that it is unscored."""
        # a logged sample has the record's id in its doc; only metrics belong here
        if self.benchmark.record_id(doc) not in self.unscored:
            try:
                scores = self.score(doc, results[0])
                details = self.benchmark.details(self.for_family(doc), results[0], scores)
                return {**scores, **details, UNSCORED: 0.0}
            except BadSample as error:
                self.leave_out(doc, str(error))
        return {UNSCORED: 1.0}


class _Means(dict[str, Any]):
    """Aggregations by name; a name that is not there is the mean over the samples that have it."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return mean


def metric_list(task: Task) -> list[dict[str, Any]]:
    """The task's metrics and aggregates as lmms-eval's ``metric_list`` has them, the main one first."""

    def whole_set(name: str) -> Callable[[Sequence[Any]], float]:
        return lambda details: float(task.functions().aggregate([{name: detail} for detail in details])[name])

    aggregations = {**dict.fromkeys(task.metrics, "mean"), **{name: whole_set(name) for name in task.aggregates}}
    return [
        {"metric": name, "aggregation": aggregation, "higher_is_better": name not in LOWER_IS_BETTER}
        for name, aggregation in aggregations.items()
    ]
