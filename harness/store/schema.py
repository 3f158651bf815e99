"""Samples, cells and timings as a run folder holds them, declared once, with the bounds that they are read with.

A field that need not be there (``NotRequired``) is missing from records of versions that did not know it.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict  # typing's own serves pydantic from Python 3.12 on

from coreheads import limits
from coreheads.store.condition import StoredCell
from coreheads.store.fields import (
    Count,
    Name,
    Pair,
    Positive,
    Seconds,
    Value,
    as_often,
    known_fields,
    one_length,
    sized,
)

SCHEMA_VERSION = 1

By = Literal["data", "model"]
"""Who could not score a sample: its data, which may be mended, or the model, which would not do otherwise again."""


@known_fields
class Versioned(TypedDict):
    """A record of a file."""

    schema_version: int
    """Of the file's form: ``SCHEMA_VERSION``."""


class Counts(TypedDict):
    """What reading a prompt cost over dense, counted while it was answered: see docs/board.md."""

    matrix_ratio: NotRequired[Value]
    """Tokens that entered the language model's layers, over layers x tokens."""
    pairs_ratio: NotRequired[Value]
    """Query-key pairs that attention kernels were given, over the causal pairs of all layers and heads."""
    flops_ratio: NotRequired[Value]
    """FLOPs of the prefill, those of choosing tokens or keys included, over dense."""
    kv_ratio: NotRequired[Value]
    """Bytes of keys and values that the cache holds after the prefill, over dense."""


@known_fields
class SampleRecord(Versioned, Counts):
    """A line of ``samples/<cell>.jsonl``: one answer and its scores."""

    record_id: str
    """The benchmark's own id of the record, unique within its task."""
    response: str
    """The model's answer as text; empty in a run that was published without responses."""
    score: Value
    """The task's main metric, most often in [0, 1]."""
    scores: NotRequired[dict[str, Value]]
    """All of the task's metrics by name."""
    prompt_tokens: Count
    """Length of the prompt, vision tokens included."""
    margin: NotRequired[float | None]
    """Smallest lead of the chosen token's logit over the next one's while it answered; null where it is not finite."""
    group: NotRequired[str]
    """The record's group, only where the task's score is a mean over groups."""


@known_fields
class UnscoredRecord(Versioned):
    """A line of ``samples/<cell>.jsonl``: a sample that cannot be scored."""

    record_id: str
    """The benchmark's own id of the record."""
    unscored: str
    """Why."""
    by: NotRequired[By]
    """Who could not; ``data`` where it is missing."""


@known_fields
class _Named(Versioned):
    name: Name
    """The cell's name, which is its file's name, too."""
    cell: Annotated[StoredCell, AfterValidator(sized)]
    """What it is."""


class FailureRecord(_Named):
    """A line of ``cells.jsonl`` or ``timings.jsonl``: a cell that could not be evaluated, or not be timed."""

    failed: str
    """Why, in one line; the whole text of an error lies in ``errors/``."""
    cannot: NotRequired[bool]
    """True where that is what the method is like, and no failure: it does not reach its budget. Not tried again."""


class CellResult(TypedDict):
    """What evaluating a cell gives."""

    n: Count
    """Samples that have a score."""
    score: NotRequired[Value | None]
    """The metric over the whole cell; null where no sample of a random draw could be scored."""
    metric: str
    """The metric that the board shows."""
    metrics: NotRequired[dict[str, float]]
    """All that lmms-eval prints of the cell."""
    aggregates: NotRequired[dict[str, Value] | None]
    """Of these, the scores of the whole set that are no means over samples."""
    variant: NotRequired[str | None]
    """How the task was scored, where there is a choice."""
    unscored: NotRequired[Count | None]
    """Samples that cannot be used and are in no score."""
    unscored_example: NotRequired[str | None]
    """The first of them with its reason; null where there is none."""
    nonfinite: NotRequired[Count | None]
    """Of the unscored, those whose logits were not finite."""
    over_context: NotRequired[Count | None]
    """Of the unscored, those that the model refused for another reason: too long for its context."""
    empty: NotRequired[Count | None]
    """Answers without text, which are scored."""
    empty_example: NotRequired[str | None]
    """The first record that was answered without text; null where there is none."""
    tokens_median: NotRequired[Value | None]
    """Median prompt length in tokens; null without a scored sample."""
    kv_bytes_ratio: NotRequired[Value | None]
    """KV bytes kept over dense at ``tokens_median``, counted (once as the patch said); null where it keeps all."""
    question: NotRequired[Literal["seen", "unseen"] | None]
    """Whether the question was seen when keys were evicted; null where none are."""
    seconds: NotRequired[Seconds | None]
    """How long the call that finished the cell took."""


class CellRecord(_Named, CellResult):
    """A line of ``cells.jsonl``: a finished cell."""

    heads: list[Pair]
    """The selected heads."""


@known_fields
class Phases(TypedDict):
    """Seconds of every repeat, phase by phase; lists of one length."""

    preprocess: Annotated[list[Seconds], Field(max_length=limits.REPEATS)]
    """From media to the prompt's tensors."""
    vision: Annotated[list[Seconds], Field(max_length=limits.REPEATS)]
    """The vision tower."""
    prefill: Annotated[list[Positive], Field(min_length=1, max_length=limits.REPEATS)]
    """The language model over the whole prompt."""
    decode: Annotated[list[Positive], Field(min_length=1, max_length=limits.REPEATS)]
    """Per answer token."""
    select: NotRequired[Annotated[list[Seconds], Field(min_length=1, max_length=limits.REPEATS)] | None]
    """Of ``prefill``, choosing tokens or keys; missing where nothing is chosen, or no device said how long."""


@known_fields
class Times(TypedDict):
    """Interleaved times of one cell."""

    dense: Annotated[Phases, AfterValidator(one_length)]
    """The dense model's; the very same for all cells of one measurement."""
    patched: Annotated[Phases, AfterValidator(one_length)]
    """The patched model's."""
    ceiling: NotRequired[Annotated[Phases, AfterValidator(one_length)] | None]
    """With the other heads' attention left out; missing where the patch does not know what that is."""


class TimingRecord(_Named):
    """A line of ``timings.jsonl``: the speed of a cell."""

    device: str
    """The device in words."""
    dtype: NotRequired[str]
    """Of the model's weights: bfloat16, float32."""
    record_id: NotRequired[str]
    """The record whose prompt was timed: that of median length."""
    prompt_tokens: Count
    """Its length."""
    decode_tokens: Count
    """How many answer tokens were decoded a repeat."""
    repeats: Count
    """Interleaved repeats after warm-up."""
    dense_kernel: str
    """The dense attention that was fastest on the device."""
    kernels: NotRequired[dict[str, float]]
    """Median seconds of prefill of every dense kernel that was tried."""
    kv_bytes_ratio: Value | None
    """KV bytes over dense after the timed prefill (once as the patch said); null where the patch keeps all."""
    peak_memory_ratio: Value | None
    """Peak memory over dense, summed over the model's devices; null where they do not count it."""
    peak_device_ratio: NotRequired[Value | None]
    """Of the device that held most, over the dense model's; only of a model that is split over several."""
    times: Annotated[Times, AfterValidator(as_often)]
    """Every repeat's seconds."""
