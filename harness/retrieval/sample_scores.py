"""Head scores of single samples: computed record by record, kept on disk so that an interrupted job goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coreheads import named
from coreheads.errors import BadSample, OutOfMemory, UserError
from coreheads.hashing.contents import json_hash
from coreheads.heads.schema import Normalization
from coreheads.retrieval.fingerprint import content_hash, record_hash
from coreheads.retrieval.head_scores import Score, head_score
from coreheads.retrieval.score_cache import ScoreCache, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt
    from coreheads.regions import Region
    from coreheads.tasks.task import Task

NO_REGION = "no ground-truth region"
NO_QUERY = "no query text"
NO_ANSWER = "no right answer"
NOTHING_SEEN = "region touches no vision token"
UNUSABLE = "media or record cannot be used"


@dataclass
class TaskScores:
    """What one task's records say about every head."""

    task: str
    split: str
    values: Scores
    """Float32 [n, layers, heads], one matrix for each record that counted; of a score of sets [1, layers, heads]."""
    records: list[str]
    """[n] hashes of these records."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of records left out, by reason."""
    example: str = ""
    """The first of them and why, for the log."""


class _Skipped(BadSample):
    """A record that says nothing about heads."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


def score_task(
    adapter: Adapter,
    task: Task,
    docs: Sequence[dict[str, Any]],
    *,
    split: str = "profile",
    score: str = "ram",
    normalization: Normalization | None = None,
    cache: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> TaskScores:
    """Score every head on every record of one task, one record after the other or, for a score of sets, together.

    Args:
        adapter: from ``load_adapter``.
        task: from the registry of tasks.
        docs: the task's records.
        split: where they come from, for messages.
        score: name of the head score.
        normalization: what it is divided by, where the score knows any.
        cache: a JSON-lines file to which each record's scores are appended, and from which they are taken when the
            same record was scored with the same model and settings before.
        advance: called once a record.

    Raises:
        UserError: no record can be scored, above all when the task lacks what the score needs: ground-truth regions
            or answers.
    """
    scorer = _Scorer(adapter, task, score, normalization, cache)
    scored = TaskScores(task.name, split, np.empty(0, np.float32), [])
    values: list[Scores] = []
    together: list[_Asked] = []
    for doc in docs:
        record_id = str(task.record_id(doc))
        try:
            asked = scorer.asked(record_id, doc)
            if scorer.score.of_set:
                together.append(asked)
            else:
                values.append(scorer([asked]))
            scored.records.append(asked.content)
        except BadSample as error:
            scored.skipped[error.reason if isinstance(error, _Skipped) else UNUSABLE] += 1
            scored.example = scored.example or f"record {record_id}: {error}"
        advance()
    if together:
        values.append(scorer(together))
    if not values:
        raise UserError(_nothing_scored(scored, scorer.score))
    scored.values = np.stack(values)
    return scored


@dataclass
class _Asked:
    """A record that can be scored. ``content`` is its hash, ``prompt`` None where its scores are known by ``key``."""

    record_id: str
    content: str
    key: str
    prompt: Prompt | None
    regions: list[Region]
    answer: str | None


class _Scorer:
    """Scores the records of a task, each once."""

    def __init__(
        self, adapter: Adapter, task: Task, score: str, normalization: Normalization | None, cache: Path | None
    ) -> None:
        self.adapter, self.task, self.kept = adapter, task, cache is not None
        self.score, self._known = head_score(score), ScoreCache(cache)
        self.score.check_normalization(normalization)
        self._settings = {"normalization": normalization} if self.score.normalized else {}
        described = {
            **adapter.describe(),
            "dtype": str(adapter.dtype),
            "attn_implementation": attention_implementation(adapter),
            "score": score,
            "normalization": normalization,
            "code": self.score.code() if self.kept else None,
            "state": adapter.state_hash() if self.kept else None,
        }
        self._setting = repr(sorted((str(key), str(value)) for key, value in described.items()))
        """Everything besides the record that changes a score."""

    def asked(self, record_id: str, doc: dict[str, Any]) -> _Asked:
        """The record and its prompt. BadSample where it says nothing about heads."""
        from coreheads.adapters.generation.structure import beyond_context

        task, needs, regions = self.task, self.score.needs, list(self.task.regions(doc))
        query = (task.query(doc) or "").strip()  # it need not stand in the prompt where no score reads it
        answer = task.answer(doc) if "answer" in needs else None
        if "regions" in needs and not regions:
            raise _Skipped(NO_REGION)
        if "query" in needs and not query:
            raise _Skipped(NO_QUERY)
        if "answer" in needs and answer is None:
            raise _Skipped(NO_ANSWER)
        messages = task.messages(doc)
        content = record_hash(record_id, messages, task.query(doc), regions)
        key = self._key(content, messages, answer) if self.kept else ""
        asked = _Asked(record_id, content, key, None, regions, answer)
        if self._known.get(key) is not None:
            return asked
        try:
            asked.prompt = prompt = self.adapter.prepare(messages, query=query if "query" in needs else None)
        except UserError as error:
            raise BadSample(str(error)) from error
        if too_long := beyond_context(self.adapter.model, prompt):
            raise BadSample(too_long)
        if "query" in needs and not len(prompt.query_tokens):
            raise _Skipped(NO_QUERY, "the query is not found among the prompt's tokens")
        if "regions" in needs and not len(prompt.locate(regions)):
            raise _Skipped(NOTHING_SEEN, str(prompt.explain(regions)))
        return asked

    def __call__(self, records: Sequence[_Asked]) -> Scores:
        """Scores [layers, heads] of one record or, for a score of sets, of all of them."""
        from coreheads.adapters.generation.memory import is_out_of_memory

        known = self._known.get(records[0].key)
        if known is not None:
            return known
        prompts = [asked.prompt for asked in records if asked.prompt is not None]
        where = f"task {self.task.name}" + ("" if self.score.of_set else f", record {records[0].record_id}")
        compute = self.score.load()
        try:
            if self.score.of_set:
                matrix = compute(self.adapter, prompts, [asked.answer for asked in records])
            else:
                asked = records[0]
                matrix = compute(self.adapter, prompts[0], asked.regions, answer=asked.answer, **self._settings)
            scores = _checked(matrix, (self.adapter.layers, self.adapter.heads))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except Exception as error:
            if not is_out_of_memory(error):
                if named.is_named(self.score.name):  # somebody's own function: what it says, and where
                    raise UserError(f"{where}: score {self.score.name!r} fails ({named.fault(error)})") from error
                raise
            longest = max(prompt.tokens for prompt in prompts)
            raise OutOfMemory(f"{where}: out of memory with one prompt of {longest:,} tokens") from None
        if not self.score.of_set:
            self._known.keep(records[0].key, records[0].record_id, scores)
        return scores

    def _key(self, content: str, messages: Sequence[Mapping[str, Any]], answer: str | None) -> str:
        """Of a record with this hash. BadSample where one of its media cannot be read."""
        try:
            return json_hash([self._setting, content, content_hash(messages), answer])
        except UserError as error:
            raise BadSample(str(error)) from error


def _checked(matrix: Tensor, shape: tuple[int, int]) -> Scores:
    scores: Scores = matrix.detach().cpu().float().numpy()
    if scores.shape != shape:
        raise ValueError(f"scores are {scores.shape}, expected {shape}")
    if not np.isfinite(scores).all():
        raise UserError(
            "a head's score is not finite, expected numbers; dtype float16 can overflow where bfloat16 does not"
        )
    return scores


def _nothing_scored(scored: TaskScores, score: Score) -> str:
    task, split, skipped, total = scored.task, scored.split, scored.skipped, scored.skipped.total()
    if not total:
        return f"task {task}: split {split} has no records to profile on"
    if skipped[NO_REGION] == total:
        return (
            f"task {task}: none of its {total} records has a ground-truth region, and {score.title} needs them "
            "(it measures attention to the target); profile on a task that has regions, see `coreheads tasks`"
        )
    if skipped[NO_ANSWER] == total:
        return (
            f"task {task}: none of its {total} records has a right answer, and {score.title} needs one; profile on a "
            "task that has answers, or with another score"
        )
    reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(skipped.items()))
    return f"task {task}: all {total} records of split {split} were skipped ({reasons}); {scored.example}"


def attention_implementation(adapter: Adapter) -> str | None:
    """The kernel that the language model's attention runs on, as transformers names it."""
    config = getattr(adapter.model, "config", None)
    text = getattr(config, "text_config", None) or config
    name: str | None = getattr(text, "_attn_implementation", None)
    return name
