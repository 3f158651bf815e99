"""Cells through lmms-eval: its evaluator, its tasks, our model object, one sample on disk after the other."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from coreheads.adapters.checkpoints.quiet import quiet
from coreheads.adapters.lmms_eval.sample_sink import NOT_FINITE
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.run.scoring import CellSink
from coreheads.store.samples import SampleFile
from coreheads.store.schema import CellResult

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.patches.base import Patch
    from coreheads.adapters.prompt.prompt import Prompt
    from coreheads.tasks.lmms import BenchmarkTask


class NothingScored(Exception):
    """A cell without a score because the model refused its samples; the message says why."""


class Evaluator:
    """lmms-eval around one loaded model; tasks are built once, prompts are prepared once."""

    def __init__(
        self,
        adapter: Adapter,
        split: str = "test",
        data_root: str | None = None,
        batch_size: int = 8,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        with quiet():
            from lmms_eval.tasks import TaskManager

            from coreheads.adapters.lmms_eval.model import CoreHeads

            # it is to look for nothing: in a folder of somebody's own there may be any YAML
            self._manager = TaskManager("ERROR", include_defaults=False, model_name="coreheads")
        self.adapter = adapter
        self._data = {"split": split, "data_root": data_root}
        self._options = options or {}
        self.model = CoreHeads(adapter=adapter, batch_size=batch_size)
        self._task: BenchmarkTask | None = None

    def task(self, name: str) -> BenchmarkTask:
        """The task built for lmms-eval. The last one is kept; asking for another forgets its prompts."""
        if self._task is None or self._task.benchmark.name != name:
            self.model.forget()
            with quiet():
                from lmms_eval.utils import load_yaml_config

                from coreheads.tasks import registry
                from coreheads.tasks.lmms import BenchmarkTask

                settings = {**self._data, **self._options.get(name, {})}
                written = load_yaml_config(str(registry.get(name).yaml))
                self._task = BenchmarkTask(config={**written, "task": name, "dataset_kwargs": settings})
                self._task.config.task = name
            self._task.serve(self.adapter.model_type)
        return self._task

    def evaluate(
        self,
        cell: Cell,
        patch: Patch,
        store: SampleFile,
        advance: Callable[[int, int], object] = lambda n, tokens: None,
        whole: Mapping[str, int] | None = None,
    ) -> CellResult:
        """Answer and score the cell's samples that ``store`` has no score of, appending each when it is known.

        Args:
            cell: What is evaluated.
            patch: Applied to the model while it answers.
            store: The cell's samples, appended to.
            advance: Told of each batch: samples, and prompt tokens computed.
            whole: By record the tokens of the dense model's prompt, for a patch whose prompts are shown otherwise.

        Returns:
            Score, counts and means; a random draw may have n 0 and no score.

        Raises:
            UserError: The task has no data or none that can be scored, or the store holds other records.
            NothingScored: Nothing could be scored, and that is the model's doing.
            Cannot: The patch does not reach the cell's budget.
        """
        from coreheads.adapters.patches.budget import Budgeted, check_counted
        from coreheads.adapters.patches.ratios import Ratios

        task = self.task(cell.task)
        offset, count = cell.span(len(task.ids))
        wanted = task.ids[offset : offset + count]
        stray = (set(store.samples) | set(store.unscored)) - set(wanted)
        if stray:
            raise UserError(f"{store.path}: record {min(stray)!r} does not belong to this cell: has the data changed?")
        started = time.perf_counter()
        sink = CellSink(task, store, advance, Ratios(self.adapter.model, patch).of, whole)
        with self.model.cell(patch, sink):
            results = self._simple_evaluate(task, offset, count)
        seconds = time.perf_counter() - started
        lines = {record: store.samples[record] for record in wanted if record in store.samples}
        if not lines and cell.draw is None:
            kind = NothingScored if store.refused else UserError
            raise kind(
                f"task {cell.task}: none of {len(wanted)} samples could be scored; record {wanted[0]}: "
                f"{store.unscored.get(wanted[0], 'unknown')}"
            )
        if isinstance(patch, Budgeted):
            of_cache = cell.budget_of == "kv"
            ratios = [line.get("kv_ratio") if of_cache else line.get("flops_ratio") for line in lines.values()]
            check_counted(patch, [ratio for ratio in ratios if ratio is not None])
        metrics = {
            key.partition(",")[0]: value
            for key, value in results["results"][cell.task].items()
            if isinstance(value, int | float) and "stderr" not in key and key.endswith(",none")
        }
        benchmark, tokens = task.benchmark, sorted(line["prompt_tokens"] for line in lines.values())
        aggregates = [name for name in benchmark.aggregates if name != benchmark.board_metric]
        empty = [record for record, line in lines.items() if not line["response"].strip()]
        nonfinite = sum(reason.startswith(NOT_FINITE) for reason in store.refused.values())
        result: CellResult = {
            "n": len(lines),
            "unscored": len(wanted) - len(lines),
            "unscored_example": next((f"{record}: {reason}" for record, reason in store.unscored.items()), None),
            "empty": len(empty),
            "empty_example": empty[0] if empty else None,
            "nonfinite": nonfinite,
            "over_context": len(store.refused) - nonfinite,
            "variant": task.variant,
            "metric": benchmark.board_metric,
            "score": metrics.get(benchmark.board_metric),
            "metrics": metrics,
            "aggregates": {name: metrics[name] for name in aggregates if name in metrics},
            "tokens_median": tokens[len(tokens) // 2] if tokens else None,
            "seconds": seconds,
        }
        if tokens:
            middle = tokens[len(tokens) // 2]
            kept = next(line.get("kv_ratio") for line in lines.values() if line["prompt_tokens"] == middle)
            result["kv_bytes_ratio"] = patch.kept_ratio(self.adapter.model, middle, kept)
        if patch.evicts:
            result["question"] = "unseen" if patch.unseen else "seen"
        return result

    def prompt(self, name: str, index: int) -> Prompt:
        """The prepared prompt of a document of the task, from those that are kept."""
        task = self.task(name)
        key = name, task.config.test_split, index, 1.0
        return self.model.prompts.get(task.docs, key, lambda like: self.prepare(name, index))

    def prepare(self, name: str, index: int, share: float = 1.0) -> Prompt:
        """The prompt of a document, prepared anew from its media, shown with that share of their vision tokens."""
        task = self.task(name)
        with quiet():
            return self.adapter.prepare(task.doc_to_messages(task.docs[index]), share=share)

    def _simple_evaluate(self, task: BenchmarkTask, offset: int, count: int) -> dict[str, Any]:
        with quiet():
            from lmms_eval.evaluator import simple_evaluate

            results: dict[str, Any] = simple_evaluate(
                model=self.model,
                tasks=[task],
                task_manager=self._manager,
                limit=count,
                offset=offset,
                bootstrap_iters=0,
                log_samples=False,
                process_docs_parallel=1,
                cli_args=Namespace(process_with_media=False),
                verbosity="ERROR",
                random_seed=None,
                numpy_random_seed=None,
                torch_random_seed=None,
            )
        return results
