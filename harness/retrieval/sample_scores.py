"""Head scores of single samples: computed record by record, kept on disk so that an interrupted job goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from coreheads.contents import json_hash
from coreheads.errors import BadSample, OutOfMemory, UserError
from coreheads.files import append_jsonl, cut_half_line, read_jsonl
from coreheads.heads.schema import Matrix, Normalization
from coreheads.retrieval.fingerprint import content_hash, record_hash
from coreheads.retrieval.head_scores import head_score

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.families.base import Adapter
    from coreheads.tasks.task import Task

Scores = npt.NDArray[np.float32]

NO_REGION = "no ground-truth region"
NO_QUERY = "no query text"
NOTHING_SEEN = "region touches no vision token"
UNUSABLE = "media or record cannot be used"


class ScoredLine(TypedDict):
    """A line of the file that keeps the scores of single records."""

    schema_version: int
    key: str
    """SHA-256 (hex) of what the record asks and shows, of the model's state, and of all else that changes a score."""
    record: str
    scores: Matrix


@dataclass
class TaskScores:
    """What one task's records say about every head."""

    task: str
    split: str
    values: Scores
    """Float32 [n, layers, heads], one matrix for each record that counted."""
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
    """Score every head on every record of one task, one forward pass a record.

    Args:
        adapter: from ``load_adapter``.
        task: from the registry of tasks.
        docs: the task's records.
        split: where they come from, for messages.
        score: name of the head score.
        normalization: what it is divided by.
        cache: a JSON-lines file to which each record's scores are appended, and from which they are taken when the
            same record was scored with the same model and settings before.
        advance: called once a record.

    Raises:
        UserError: no record can be scored, above all when the task has no ground-truth regions.
    """
    scorer = _Scorer(adapter, task, score, normalization, cache)
    scored = TaskScores(task.name, split, np.empty(0, np.float32), [])
    values: list[Scores] = []
    for doc in docs:
        record_id = str(task.record_id(doc))
        try:
            content, matrix = scorer(record_id, doc)
            values.append(matrix)
            scored.records.append(content)
        except BadSample as error:
            scored.skipped[error.reason if isinstance(error, _Skipped) else UNUSABLE] += 1
            scored.example = scored.example or f"record {record_id}: {error}"
        advance()
    if not values:
        raise UserError(_nothing_scored(scored))
    scored.values = np.stack(values)
    return scored


@dataclass
class _Scorer:
    """Scores single records of a task, each once."""

    adapter: Adapter
    task: Task
    score: str
    normalization: Normalization | None
    cache: Path | None

    def __post_init__(self) -> None:
        self._score, self._known = head_score(self.score), _read_cache(self.cache)
        described = {
            **self.adapter.describe(),
            "dtype": str(self.adapter.dtype),
            "attn_implementation": attention_implementation(self.adapter),
            "score": self.score,
            "normalization": self.normalization,
            "state": self.adapter.state_hash() if self.cache is not None else None,
        }
        self._setting = repr(sorted((str(key), str(value)) for key, value in described.items()))
        """Everything besides the record that changes a score."""

    def __call__(self, record_id: str, doc: dict[str, Any]) -> tuple[str, Scores]:
        """(hash of the record, scores [layers, heads]). BadSample where it says nothing about heads."""
        from coreheads.adapters.generation.memory import is_out_of_memory
        from coreheads.adapters.generation.structure import beyond_context

        task, regions, query = self.task, list(self.task.regions(doc)), self.task.query(doc)
        if not regions:
            raise _Skipped(NO_REGION)
        if not (query and query.strip()):
            raise _Skipped(NO_QUERY)
        messages = task.messages(doc)
        content = record_hash(record_id, messages, query, regions)
        key = "" if self.cache is None else self._key(content, messages)
        if key in self._known:
            return content, self._known[key]
        try:
            prompt = self.adapter.prepare(messages, query=query)
        except UserError as error:
            raise BadSample(str(error)) from error
        if too_long := beyond_context(self.adapter.model, prompt):
            raise BadSample(too_long)
        if not len(prompt.query_tokens):
            raise _Skipped(NO_QUERY, "the query is not found among the prompt's tokens")
        if not len(prompt.locate(regions)):
            raise _Skipped(NOTHING_SEEN, str(prompt.explain(regions)))
        where = f"task {task.name}, record {record_id}"
        try:
            matrix = self._score(self.adapter, prompt, regions, normalization=self.normalization)
            scores = _checked(matrix, (self.adapter.layers, self.adapter.heads))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(f"{where}: out of memory with one prompt of {prompt.tokens:,} tokens") from None
        if self.cache is not None:
            self._known[key] = scores
            # the shortest decimal that reads back as the same float32
            rows = [[float(str(value)) for value in row] for row in scores]
            line: ScoredLine = {"schema_version": 1, "key": key, "record": record_id, "scores": rows}
            append_jsonl(self.cache, line)
        return content, scores

    def _key(self, content: str, messages: Sequence[Mapping[str, Any]]) -> str:
        """Of a record with this hash. BadSample where one of its media cannot be read."""
        try:
            return json_hash([self._setting, content, content_hash(messages)])
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


def _nothing_scored(scored: TaskScores) -> str:
    task, split, skipped, total = scored.task, scored.split, scored.skipped, scored.skipped.total()
    if not total:
        return f"task {task}: split {split} has no records to profile on"
    if skipped[NO_REGION] == total:
        return (
            f"task {task}: none of its {total} records has a ground-truth region, and RAM needs them "
            "(it measures attention to the target); profile on a task that has regions, see `coreheads tasks`"
        )
    reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(skipped.items()))
    return f"task {task}: all {total} records of split {split} were skipped ({reasons}); {scored.example}"


def attention_implementation(adapter: Adapter) -> str | None:
    """The kernel that the language model's attention runs on, as transformers names it."""
    config = getattr(adapter.model, "config", None)
    text = getattr(config, "text_config", None) or config
    name: str | None = getattr(text, "_attn_implementation", None)
    return name


def _read_cache(cache: Path | None) -> dict[str, Scores]:
    if cache is None or not cache.exists():
        return {}
    cut_half_line(cache)
    try:
        return {line["key"]: np.array(line["scores"], dtype=np.float32) for line in read_jsonl(cache)}
    except (TypeError, KeyError, ValueError):
        raise UserError(f"{cache}: a line has no key or scores, expected head scores; delete the file") from None
