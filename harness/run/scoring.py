"""A cell's answers on their way to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from coreheads.adapters.lmms_eval.sample_sink import Refusal
from coreheads.errors import BadSample
from coreheads.store.samples import SampleFile

if TYPE_CHECKING:
    from coreheads.adapters.generation.generate import Generation
    from coreheads.adapters.generation.work import Work
    from coreheads.tasks.lmms import BenchmarkTask


class CellSink:
    """A ``SampleSink``: the task scores every answer, once, and the cell's file has both before the next batch starts.

    Args:
        task: The cell's, as lmms-eval evaluates it.
        store: The cell's file. Samples that it has are known, and so are those that the model refused: it would only
            do the same again. Those whose data could not be used are asked again: it may be there now.
        advance: Told of each (number of samples, prompt tokens computed).
        ratios: What a prompt of so many tokens cost over dense, of what was counted.
        whole: By record the tokens of the dense model's prompt, where the cell's are others; None where they are not.
    """

    def __init__(
        self,
        task: BenchmarkTask,
        store: SampleFile,
        advance: Callable[[int, int], object],
        ratios: Callable[[int, Work], Mapping[str, float]],
        whole: Mapping[str, int] | None = None,
    ) -> None:
        self.task, self.store, self.advance, self.ratios, self.whole = task, store, advance, ratios, whole
        store.ask_again()
        scores = {
            (record, line["response"]): line["scores"] for record, line in store.samples.items() if "scores" in line
        }
        task.begin(scores, store.refused)
        advance(len(store), 0)

    def known(self, index: int) -> str | None:
        record = self.task.ids[index]
        if record in self.store.refused:
            return ""
        line = self.store.samples.get(record)
        return None if line is None else str(line["response"])

    def put(self, answers: Mapping[int, Generation | Refusal]) -> None:
        for index, answer in answers.items():
            try:
                if isinstance(answer, Refusal):
                    self._leave_out(index, answer)
                else:
                    self._score(index, answer)
            except BadSample as error:
                self._leave_out(index, Refusal(str(error)))
        self.store.sync()

    def _score(self, index: int, answer: Generation) -> None:
        doc, benchmark = self.task.docs[index], self.task.benchmark
        scores = dict(self.task.score(doc, answer.text))
        group = str(doc[benchmark.group_by]) if benchmark.group_by else None
        score, tokens = scores[benchmark.metric], answer.prompt_tokens
        record = self.task.ids[index]
        dense = tokens if self.whole is None else self.whole.get(record)
        counts = None if answer.work is None or dense is None else self.ratios(dense, answer.work)
        self.store.add(record, answer.text, score, scores, tokens, group, answer.margin, counts)
        self.advance(1, tokens)

    def _leave_out(self, index: int, refusal: Refusal) -> None:
        reason = self.task.leave_out(self.task.docs[index], refusal.reason)
        self.store.leave_out(self.task.ids[index], reason, refusal.by)
        self.advance(1, 0)
