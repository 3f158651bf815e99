"""leaderboard.json: what a row says, and what stands beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired

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
    loyalty: float | None
    """Share of answers equal to the dense row's on the same samples, 0 to 1; null for the dense row, and where answers
    are not known."""
    tokens_median: float
    """Median prompt length in tokens."""


class Budget(TypedDict):
    """What reading a prompt costs over dense: means over the scored samples; null where they were not counted."""

    matrix_ratio: float | None
    """Tokens that entered the language model's layers, over layers x tokens."""
    pairs_ratio: float | None
    """Query-key pairs given to attention kernels, over causal pairs."""
    flops_ratio: float | None
    """FLOPs of the language model's prefill, those of choosing included."""
    kv_ratio: float | None
    """Bytes of keys and values held after the prefill."""
    budget: float | None
    """What was asked; null where nothing was."""
    budget_of: str | None
    """Of what: ``flops`` or ``kv``."""
    preset: bool | None
    """True: the method's published defaults; else null."""
    question: str | None
    """``seen`` or ``unseen`` when keys were evicted; null where none are."""


class Speed(TypedDict):
    """How fast it was; null where that was not measured."""

    prefill_ms: float | None
    """Median milliseconds of the language model over the timed prompt."""
    select_ms: float | None
    """Of these, the median milliseconds in which tokens or keys were chosen; null where nothing was measured."""
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


class Row(RowScore, Speed, Budget):
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


class Overall(TypedDict):
    """One condition of one model over all tasks of its run: a line of the ranking.

    Only conditions that were judged on every task that the dense model was; every task weighs the same.
    """

    run: str
    """The run's name on the board."""
    model: str
    """The model's name on the board."""
    device: str
    """Where the speed was measured, in words."""
    condition: str
    """In words."""
    method: str
    """The condition without how much it keeps: what a curve of accuracy against speedup is drawn through."""
    tasks: list[str]
    """What the scores are means over."""
    timed_tasks: list[str]
    """What the speedups are means over; empty where the condition is not timed wherever the dense model is."""
    patch: str
    """A registered patch; ``none`` for the dense model."""
    selection: str | None
    """As in a row."""
    n: int
    """Scored samples, over all tasks and draws."""
    score: float
    """Mean of the tasks' scores."""
    score_ci: Interval
    """Bootstrap interval of ``score``, drawn within each task."""
    delta: float | None
    """Mean change against dense on the same samples; null for the dense model."""
    delta_ci: Interval | None
    """Bootstrap interval of ``delta``."""
    prefill_speedup: float | None
    """Geometric mean of the tasks' prefill speedups."""
    prefill_speedup_ci: Interval | None
    """Bootstrap interval of ``prefill_speedup``, drawn within each task; null for the dense model."""
    end_to_end_speedup: float | None
    """Geometric mean of the tasks' speedups from media to answer."""
    kv: float | None
    """Mean of the tasks' KV bytes after the prefill over dense."""
    work: float | None
    """Mean of the tasks' FLOPs of the prefill over dense; null where they were not counted."""
    loyalty: NotRequired[float | None]
    """Mean of the tasks' shares of answers equal to dense; null where not known. Older boards do not have it."""
    select_ms: NotRequired[float | None]
    """Mean of the timed tasks' milliseconds of choosing; null where not measured. Older boards do not have it."""
    question: NotRequired[str | None]
    """``seen`` or ``unseen`` when keys were evicted; null where none are. Older boards do not have it."""
    rank: int
    """From 1 within the model: first what keeps the score within a point, by speed, then the others by score."""


class Best(TypedDict):
    """The best condition of a model at a speed that is asked for."""

    run: str
    """The run's name on the board."""
    model: str
    """The model's name on the board."""
    task: str | None
    """A task; null for the mean over all tasks."""
    at: float
    """The prefill speedup that it has at least."""
    condition: str | None
    """In words: of those within a point of the dense score the one with the highest, of equal ones the fastest; where
    none is, the one with the highest score; null where none is so fast."""
    within: bool
    """Whether its score is within a point of the dense one."""
    score: float | None
    """Its score."""
    delta: float | None
    """Its change against dense."""
    prefill_speedup: float | None
    """Its prefill speedup."""


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


class Comparison(TypedDict):
    """Two methods on one budget, on the same samples."""

    run: str
    """The run's name on the board."""
    model: str
    """The model's name on the board."""
    task: str | None
    """A registered task; null for all tasks that the methods of the budget share, each of the same weight."""
    budget: float
    """Share of the dense cost, in (0, 1]."""
    budget_of: Literal["flops", "kv"]
    """What that is a share of."""
    a: str
    """The method of the best score, in words."""
    b: str
    """Another one."""
    n: int
    """Samples that both answered."""
    difference: float
    """Mean score of ``a`` less that of ``b``."""
    difference_ci: Interval
    """Bootstrap interval of ``difference``, paired by sample."""
    p_value: float
    """Of no difference, corrected (Holm) for all pairs of methods, since the best one was chosen by looking."""


Verdict = Literal["holds", "does not", "cannot tell", "not tested here"]


class Claim(TypedDict):
    """A statement of the paper, and what a model's rows and heads say of it."""

    run: str
    """The run's name on the board."""
    model: str
    """The model's name on the board."""
    claim: str
    """The statement."""
    verdict: Verdict
    """What follows from the figures and the test."""
    figures: str
    """What was measured, with 95 % intervals."""
    test: str
    """What the figures had to be; empty where nothing was tested."""


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
    depth: NotRequired[float | None]
    """Mean depth of their layers, weighted by score: 0 the first layer, 1 the last; null where the model has one layer
    or the scores no positive sum. Older boards do not have it."""
    scores: NotRequired[list[float]]
    """Of each of ``heads``. Older boards do not have it."""
    others: NotRequired[float | None]
    """Median score of all other heads; null where there is none. Older boards do not have it."""
    concentration: NotRequired[list[float]]
    """Of each of ``heads``, where the run has a profile by it: see docs/method.md."""
    others_concentration: NotRequired[float | None]
    """Median of that of all other heads; null where there is none."""


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
    comparisons: NotRequired[list[Comparison]]
    """The best method of each budget with the others; older boards do not have it."""
    remarks: list[str]
    """Sentences on how runs were merged."""
    runs: list[RunSummary]
    """One a run."""
    heads: list[HeadsSummary]
    """One a head profile."""
    overall: NotRequired[list[Overall]]
    """By run and model, by rank. Older boards do not have it."""
    best: NotRequired[list[Best]]
    """For every model, task and speed that is asked for. Older boards do not have it."""
    claims: NotRequired[list[Claim]]
    """The paper's statements for every run and model. Older boards do not have it."""
