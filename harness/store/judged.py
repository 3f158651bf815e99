"""What a board concludes from its rows: ranking, the best at a speed, comparisons on one budget, claims."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from coreheads.store.row import Interval


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
    alike: NotRequired[int]
    """As in a row, over all tasks: each counts as much as the one with the fewest. Older boards do not have it."""
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
