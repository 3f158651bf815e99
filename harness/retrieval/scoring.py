"""Head scores of single samples: computed record by record, kept on disk so that an interrupted job goes
on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coreheads.errors import BadSample, OutOfMemory, UserError
from coreheads.files import append_jsonl, cut_half_line, read_jsonl
from coreheads.regions import Region
from coreheads.retrieval.fingerprint import record_hash, records_hash
from coreheads.retrieval.registry import head_score

Scores = npt.NDArray[np.float32]

NO_REGION = "no ground-truth region"
NO_QUERY = "no query text"
NOTHING_SEEN = "region touches no vision token"
UNUSABLE = "media or record cannot be used"


@dataclass
class TaskScores:
    """What one task's records say about every head.

    values: float32 [n, layers, heads], one matrix for each record that counted.
    records: [n] hashes of these records. skipped: reason -> number of records left out.
    example: the first skipped record and why, for the log.
    """

    task: str
    split: str
    values: Scores
    records: list[str]
    skipped: Counter[str] = field(default_factory=Counter)
    example: str = ""

    @property
    def hash(self) -> str:
        return records_hash(self.records)


def score_task(
    adapter: Any,
    task: Any,
    docs: Sequence[Mapping[str, Any]],
    *,
    split: str = "profile",
    score: str = "ram",
    normalization: str | None = None,
    cache: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> TaskScores:
    """Score every head on every record of one task, one forward pass a record.

    adapter, task: as `load_adapter` and the task registry give them. docs: the task's records.
    cache: a JSON-lines file to which each record's scores are appended, and from which they are taken when
    the same record was scored with the same model and settings before. advance: called once a record.

    Raises UserError when no record can be scored, above all when the task has no ground-truth regions.
    """
    score_of = head_score(score)
    known = _read_cache(cache)
    setting = _setting(adapter, score, normalization)
    values: list[Scores] = []
    hashes: list[str] = []
    skipped: Counter[str] = Counter()
    example = ""
    for doc in docs:
        record_id = str(task.record_id(doc))
        reason, detail, content, key = "", "", "", ""
        try:
            regions: list[Region] = list(task.regions(doc))
            query = task.query(doc)
            reason = _unusable(regions, query)
            if not reason:
                messages = task.messages(doc)
                content = record_hash(record_id, messages, query, regions)
                key = hashlib.sha256(f"{setting} {content}".encode()).hexdigest()
                if key not in known:
                    prompt = _prepared(adapter, messages, query)
                    reason, detail = _unseen(prompt, regions)
        except BadSample as error:
            reason, detail = UNUSABLE, str(error)
        if not reason and key not in known:
            with _named(task.name, record_id, prompt):
                matrix = score_of(adapter, prompt, regions, normalization=normalization)
                known[key] = _checked(matrix, (adapter.layers, adapter.heads))
                _write_cache(cache, key, record_id, known[key])
        if reason:
            skipped[reason] += 1
            example = example or f"record {record_id}: {detail or reason}"
        else:
            values.append(known[key])
            hashes.append(content)
        advance()
    if not values:
        raise UserError(_nothing_scored(task.name, split, skipped, example))
    return TaskScores(task.name, split, np.stack(values), hashes, skipped, example)


def _prepared(adapter: Any, messages: Any, query: str) -> Any:
    """The prompt; BadSample where its media cannot be used, or the model does not take so many tokens."""
    from coreheads.adapters.generation.structure import beyond_context

    try:
        prompt = adapter.prepare(messages, query=query)
    except UserError as error:
        raise BadSample(str(error)) from error
    too_long = beyond_context(adapter.model, prompt)
    if too_long:
        raise BadSample(too_long)
    return prompt


def _unusable(regions: Sequence[Region], query: str | None) -> str:
    if not regions:
        return NO_REGION
    return "" if query and query.strip() else NO_QUERY


def _unseen(prompt: Any, regions: Sequence[Region]) -> tuple[str, str]:
    """(reason, detail) when the prompt leaves nothing to measure, else two empty texts."""
    if len(prompt.query_tokens) == 0:
        return NO_QUERY, "the query is not found among the prompt's tokens"
    if len(prompt.locate(regions)) == 0:
        return NOTHING_SEEN, str(prompt.explain(regions))
    return "", ""


def _checked(matrix: Any, shape: tuple[int, int]) -> Scores:
    scores = np.asarray(matrix.detach().cpu().float().numpy(), dtype=np.float32)
    if scores.shape != shape:
        raise ValueError(f"scores are {scores.shape}, expected {shape}")
    if not np.isfinite(scores).all():
        raise UserError(
            "a head's score is not finite, expected numbers; dtype float16 can overflow where bfloat16 does not"
        )
    return scores


@contextmanager
def _named(task: str, record_id: str, prompt: Any) -> Iterator[None]:
    """Say of which record an error speaks."""
    from coreheads.adapters.generation.memory import is_out_of_memory

    try:
        yield
    except UserError as error:
        raise UserError(f"task {task}, record {record_id}: {error}") from None
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        text = f"task {task}, record {record_id}: out of memory with one prompt of {prompt.tokens:,} tokens"
        raise OutOfMemory(text) from None


def _nothing_scored(task: str, split: str, skipped: Mapping[str, int], example: str) -> str:
    total = sum(skipped.values())
    if not total:
        return f"task {task}: split {split} has no records to profile on"
    if skipped.get(NO_REGION, 0) == total:
        return (
            f"task {task}: none of its {total} records has a ground-truth region, and RAM needs them "
            "(it measures attention to the target); profile on a task that has regions, see `coreheads tasks`"
        )
    reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(skipped.items()))
    return f"task {task}: all {total} records of split {split} were skipped ({reasons}); {example}"


def attention_implementation(adapter: Any) -> str | None:
    """The kernel that the language model's attention runs on, as transformers names it."""
    config = getattr(adapter.model, "config", None)
    text = getattr(config, "text_config", None) or config
    name: str | None = getattr(text, "_attn_implementation", None)
    return name


def _setting(adapter: Any, score: str, normalization: str | None) -> str:
    """Everything besides the record that changes a score."""
    described = {
        **adapter.describe(),
        "dtype": str(adapter.dtype),
        "attn_implementation": attention_implementation(adapter),
        "score": score,
        "normalization": normalization,
    }
    return repr(sorted((str(key), str(value)) for key, value in described.items()))


def _read_cache(cache: Path | None) -> dict[str, Scores]:
    if cache is None or not cache.exists():
        return {}
    cut_half_line(cache)
    try:
        return {line["key"]: np.array(line["scores"], dtype=np.float32) for line in read_jsonl(cache)}
    except (TypeError, KeyError, ValueError):
        raise UserError(f"{cache}: a line has no key or scores, expected head scores; delete the file") from None


def _write_cache(cache: Path | None, key: str, record_id: str, scores: Scores) -> None:
    if cache is not None:
        # the shortest decimal that reads back as the same float32
        rows = [[float(str(value)) for value in row] for row in scores]
        append_jsonl(cache, {"schema_version": 1, "key": key, "record": record_id, "scores": rows})
