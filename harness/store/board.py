"""leaderboard.json: what a row says, and what stands beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from coreheads.heads.ranking import ClearTop
from coreheads.store.provenance import Invocation
from coreheads.store.schema import Condition, Plain

SCHEMA_VERSION = 1

Interval = Sequence[float]
"""[low, high] of a 95 % interval."""


class RowScore(Condition):
    """What was done to the model, and what it scored."""

    n: int
    """Scored samples, over all draws."""
    score: float
    """Mean of the task's metric, most often in [0, 1]."""
    score_ci: Interval | None
    """Bootstrap interval of the score; null for fewer than two samples."""
    delta: float | None
    """Score minus dense, on the same samples; null for the dense row and where there is none."""
    delta_ci: Interval | None
    """Bootstrap interval of ``delta``, paired by sample."""
    p_value: float | None
    """Of no change, corrected (Holm) within model and task; in [0, 1]."""
    tokens_median: float
    """Median prompt length in tokens."""


class Speed(TypedDict):
    """How fast it was; null where that was not measured."""

    prefill_ms: float | None
    """Median milliseconds of the language model over the timed prompt."""
    prefill_speedup: float | None
    """Dense over this, medians; 1 for the dense row."""
    prefill_speedup_ci: Interval | None
    """Bootstrap interval of ``prefill_speedup``; null for the dense row."""
    decode_ms_per_token: float | None
    """Median milliseconds of one answer token."""
    decode_speedup: float | None
    """Dense over this, medians."""
    end_to_end_speedup: float | None
    """From media to the last answer token, dense over this, medians."""
    ceiling: float | None
    """The prefill speedup with the other heads' attention left out; null where the patch has none."""
    ceiling_share: float | None
    """``prefill_speedup`` over ``ceiling``."""
    kv_bytes_ratio: float | None
    """KV bytes kept over dense; null where the patch keeps all or does not say."""
    peak_memory_ratio: float | None
    """Peak memory over dense; null where the device does not count it."""
    timed_tokens: int | None
    """Length of the timed prompt."""
    dense_kernel: str | None
    """The dense attention that was fastest on this device: what speeds are compared with."""
    repeats: int | None
    """Interleaved repeats of the measurement."""


class Row(RowScore, Speed):
    """One condition of one model on one task; the random draws of one control are pooled."""

    device: str
    """In words; that of the speed where one was measured."""
    params: dict[str, Plain]
    """The patch's settings by name."""
    heads: int
    """How many heads are selected."""
    draws: int | None
    """How many random draws are pooled; null where nothing is drawn."""
    metric: str
    """What ``score`` is."""
    run: str
    """The run's name on the board."""
    cells: list[str]
    """Names of the stored cells, one a draw."""
    note: str | None
    """What must be read beside the row."""
    unscored: int
    """Samples that could not be used and are in no score."""
    unscored_example: str | None
    """The first of them with its reason."""
    aggregates: dict[str, float] | None
    """Scores of the whole set that are no means over samples; null for draws and where there are none."""
    variant: str | None
    """How the task was scored, where there is a choice."""
    limit: int | None
    """How many samples of the task are asked (a draw may ask fewer); null: all."""
    empty: int
    """Answers without text, which are scored."""
    empty_example: str | None
    """The first record that was answered without text."""
    nonfinite: int
    """Of the unscored, those whose logits were not finite."""
    over_context: int
    """Of the unscored, those longer than the model's context."""
    told_apart: bool | None
    """True where another row differs from it in its patch's settings only; else null."""


class LeftOut(TypedDict):
    """What a run holds or was asked for and the rows do not show."""

    run: str
    """The run's name on the board."""
    what: str
    """Model, task and condition in words; of a failed cell the condition only."""
    reason: str
    """Why, in one line."""


class FailedCell(LeftOut):
    """Cells that could not be computed; draws of one condition that failed alike are one entry."""

    model: str
    """Its name in the run."""
    task: str
    """A registered task."""


class RunSummary(Invocation):
    """A run behind the rows: the last process that worked on it, but ``started`` when the first one began."""

    name: str
    """What rows call it."""
    processes: int
    """How many processes worked on it."""
    board_made_with: str | None
    """The version of coreheads that wrote this board."""


class TopHeads(TypedDict):
    """The top heads of a profile at one fraction."""

    fraction: float
    """Of all heads, in (0, 1]."""
    count: int
    """How many heads that is."""
    share: float
    """Of the sum of all heads' scores, 0 to 1."""
    layers: list[int]
    """Layers that hold any, ascending."""
    heads: list[list[int]]
    """[layer, head] pairs, ascending."""
    shared: NotRequired[float | None]
    """Which share of them random halves of the profiling samples have in common, 0 to 1; null where the profile does
    not say, as older boards."""


class HeadsSummary(TypedDict):
    """A head profile behind the rows."""

    run: str
    """The run's name on the board."""
    model: str
    """The model's name on the board."""
    id: str
    """The checkpoint."""
    score: NotRequired[str]
    """Name of the head score; missing from older boards, where it is ram."""
    count: int
    """All heads of the language model."""
    samples: int
    """Profiling samples over all tasks."""
    tasks: list[str]
    """What the heads were found on."""
    split_half: float | None
    """Rank correlation of the leading heads between halves of the samples; null for too few."""
    clear: NotRequired[ClearTop | None]
    """The top heads that another sample would find, too; null where no cut is clear. Older boards do not have
    it, nor has a profile without intervals."""
    top: list[TopHeads]
    """One a fraction that the run's cells use."""


class Board(TypedDict):
    """The content of leaderboard.json."""

    schema_version: int
    """Of the file's form."""
    rows: list[Row]
    """By run, model and task; the dense row first."""
    failed: list[FailedCell]
    """What has no score."""
    left_out: list[LeftOut]
    """What the rows do not show."""
    remarks: list[str]
    """Sentences on how runs were merged."""
    runs: list[RunSummary]
    """One a run."""
    heads: list[HeadsSummary]
    """One a head profile."""
