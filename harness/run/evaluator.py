"""Cells through lmms-eval: its evaluator, its tasks, our model object, one sample on disk after the other."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coreheads.config.cells import Cell
from coreheads.errors import BadSample, UserError
from coreheads.quiet import quiet, unwrapped
from coreheads.store.samples import SampleFile
from coreheads.store.schema import By


class NothingScored(Exception):
    """A cell without a score because the model refused its samples; the message says why."""


class Evaluator:
    """lmms-eval around one loaded model; tasks are built once, prompts are prepared once."""

    def __init__(
        self,
        adapter: Any,
        split: str = "test",
        data_root: str | None = None,
        batch_size: int = 8,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        with quiet():
            from lmms_eval.tasks import TaskManager

            from coreheads.adapters.lmms_eval.model import CoreHeads
            from coreheads.tasks import registry

            self._manager = TaskManager(
                "ERROR", include_path=str(registry.path()), include_defaults=False, model_name="coreheads"
            )
        self._registry = registry
        self._data = {"split": split, "data_root": data_root}
        self._options = options or {}
        self.model = CoreHeads(adapter=adapter, batch_size=batch_size)
        self._task: _Task | None = None

    def task(self, name: str) -> _Task:
        """The task built for lmms-eval. The last one is kept; asking for another forgets its prompts."""
        if self._task is None or self._task.name != name:
            self.model.forget()
            with quiet(), unwrapped():
                # "task" names it, the rest overrides its YAML
                settings = {**self._data, **self._options.get(name, {})}
                loaded = self._manager.load_task_or_group([{"task": name, "dataset_kwargs": settings}], "chat")
            loaded[name].serve(self.model.adapter.model_type)
            loaded[name].stops = False
            self._task = _Task(self._registry.get(name), loaded[name], self._options.get(name))
        return self._task

    def evaluate(
        self, cell: Cell, patch: Any, store: SampleFile, advance: Callable[..., object] = lambda n, tokens=0: None
    ) -> dict[str, Any]:
        """Answer and score the cell's samples that ``store`` has no score of, appending each when it is known.

        Returns the cell's result: n, score and metric (of the whole set), metrics (all that lmms-eval prints),
        aggregates (those of the whole set that are no means), unscored (samples that cannot be used, which are in no
        score) with nonfinite and over_context, how many of them the model refused for which reason, empty (answers
        without text, which are scored) with an example, variant, tokens_median and seconds (of this call). A
        random draw may have n 0 and no score. advance: told of each (samples, prompt tokens computed).

        Raises UserError where the task has no data or none that can be scored, or the store holds other records;
        NothingScored where that is the model's doing.
        """
        task = self.task(cell.task)
        offset, count = cell.span(len(task.ids))
        wanted = task.ids[offset : offset + count]
        stray = (set(store.samples) | set(store.unscored)) - set(wanted)
        if stray:
            raise UserError(f"{store.path}: record {min(stray)!r} does not belong to this cell: has the data changed?")
        store.ask_again()  # what could not be shown may be there now
        task.built.unscored = dict(store.refused)  # the model would only do the same again
        advance(len(store))

        def known(_: str, index: int) -> str | None:
            record = task.ids[index]
            if record in store.refused:
                return ""
            line = store.samples.get(record)
            return None if line is None else str(line["response"])

        def refused(_: str, index: int, reason: str, by: By = "data") -> None:
            store.leave_out(task.ids[index], reason, by)
            advance(1)

        def answered(name: str, index: int, generation: Any) -> None:
            try:
                scores = task.scores(index, generation.text)
            except BadSample as error:
                refused(name, index, str(error))
                return
            group = task.group(index)
            tokens, margin = generation.prompt_tokens, generation.margin
            store.add(task.ids[index], generation.text, scores[task.metric], scores, tokens, group, margin)
            advance(1, tokens)

        started = time.perf_counter()
        self.model.patch, self.model.known, self.model.answered = patch, known, answered
        self.model.refused, self.model.batch_done = refused, store.sync
        results = self._simple_evaluate(task, offset, count)
        store.sync()  # scoring may have left samples out, too
        seconds = time.perf_counter() - started
        _compare(task, results["samples"][cell.task], store)
        lines = [store.samples[record] for record in wanted if record in store.samples]
        if not lines and cell.draw is None:
            kind = NothingScored if store.refused else UserError
            raise kind(
                f"task {cell.task}: none of {len(wanted)} samples could be scored; record {wanted[0]}: "
                f"{store.unscored.get(wanted[0], 'unknown')}"
            )
        metrics = {
            key.partition(",")[0]: value
            for key, value in results["results"][cell.task].items()
            if isinstance(value, int | float) and "stderr" not in key and key.endswith(",none")
        }
        return {
            "n": len(lines),
            "unscored": len(wanted) - len(lines),
            "unscored_example": next((f"{record}: {reason}" for record, reason in store.unscored.items()), None),
            **_oddities(store, wanted),
            "variant": task.variant,
            "metric": task.board_metric,
            "score": metrics.get(task.board_metric),
            "metrics": metrics,
            "aggregates": {n: metrics[n] for n in task.aggregates if n in metrics and n != task.board_metric},
            "tokens_median": sorted(line["prompt_tokens"] for line in lines)[len(lines) // 2] if lines else None,
            "seconds": seconds,
        }

    def prompt(self, name: str, index: int) -> Any:
        """The prepared prompt of a document of the task, from those that are kept."""
        split = self.task(name).built.config.test_split
        return self.model.prompts.get((name, split, index), lambda like: self.prepare(name, index))

    def prepare(self, name: str, index: int) -> Any:
        """The prompt of a document, prepared anew from its media."""
        with quiet():
            return self.model.adapter.prepare(self.task(name).messages(index))

    def _simple_evaluate(self, task: _Task, offset: int, count: int) -> dict[str, Any]:
        with quiet(), unwrapped():
            from lmms_eval.evaluator import simple_evaluate

            results: dict[str, Any] = simple_evaluate(
                model=self.model,
                tasks=[task.built],
                task_manager=self._manager,
                limit=count,
                offset=offset,
                bootstrap_iters=0,
                log_samples=True,
                process_docs_parallel=1,
                cli_args=Namespace(process_with_media=False),
                verbosity="ERROR",
                random_seed=None,
                numpy_random_seed=None,
                torch_random_seed=None,
            )
        return results


class _Task:
    """One task as lmms-eval has built it, and what the registry knows of it."""

    def __init__(self, task: Any, built: Any, options: Mapping[str, Any] | None = None) -> None:
        self.name: str = task.name
        self.metric: str = task.metric
        self.board_metric: str = task.board_metric
        self.built = built
        self._task = task
        self._docs = built.eval_docs_no_media
        self.ids: list[str] = [task.record_id(doc) for doc in self._docs]
        self.variant: str | None = task.variant(options)
        self.aggregates: tuple[str, ...] = task.aggregates

    def messages(self, index: int) -> Any:
        """The document's chat messages, media included."""
        return self.built.doc_to_messages(self.built.eval_docs[index])

    def group(self, index: int) -> str | None:
        """The document's group, where the set's score is a mean over groups."""
        return str(self._docs[index][self._task.group_by]) if self._task.group_by else None

    def scores(self, index: int, response: str) -> dict[str, float]:
        """Metric -> value of one response, by the task's own scorer."""
        scores = self._task.doc_scores(self.built.for_family(self._docs[index]), response.strip())
        return {name: float(value) for name, value in scores.items()}


def _oddities(store: SampleFile, wanted: Sequence[str]) -> dict[str, Any]:
    """What a score alone would hide: counts, and the first answer without text."""
    from coreheads.adapters.lmms_eval.model import NOT_FINITE

    empty = [record for record in wanted if record in store.samples and not store.samples[record]["response"].strip()]
    nonfinite = sum(reason.startswith(NOT_FINITE) for reason in store.refused.values())
    return {
        "empty": len(empty),
        "empty_example": empty[0] if empty else None,
        "nonfinite": nonfinite,
        "over_context": len(store.refused) - nonfinite,
    }


def _compare(task: _Task, logged: Sequence[dict[str, Any]], store: SampleFile) -> None:
    """What lmms-eval scored must be what was stored sample by sample; anything else is a fault of the task."""
    for sample in logged:
        value = sample.get(task.metric)
        value = value.get("score") if isinstance(value, dict) else value
        record = task.ids[sample["doc_id"]]
        if isinstance(value, int | float) and abs(value - store.samples[record]["score"]) > 1e-9:
            raise RuntimeError(
                f"{task.name}: record {record!r} scores {value} in process_results "
                f"but {store.samples[record]['score']} in doc_scores"
            )
