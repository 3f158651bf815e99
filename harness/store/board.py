"""leaderboard.json: what stands beside its rows, and the whole file."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from coreheads.heads.ranking import ClearTop
from coreheads.store.judged import Best, Claim, Comparison, Overall, Verdict
from coreheads.store.provenance import Invocation, Submitter
from coreheads.store.row import Budget, Interval, Row, RowScore, Speed

__all__ = [  # all that the file holds
    "SCHEMA_VERSION",
    "Best",
    "Board",
    "Budget",
    "Claim",
    "Comparison",
    "FailedCell",
    "HeadsSummary",
    "Interval",
    "LeftOut",
    "Overall",
    "Row",
    "RowScore",
    "RunSummary",
    "Speed",
    "TopHeads",
    "Verdict",
]

SCHEMA_VERSION = 1


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
    submitted: NotRequired[Submitter | None]
    """By whom; null or missing where nobody did."""
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
