"""A row of leaderboard.json: one condition of one model on one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from coreheads.store.condition import Condition
from coreheads.store.fields import Plain

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
    alike: NotRequired[int]
    """Samples by which a bound goes where all say the same: each counted once, of groups that weigh the same as many as
    the smallest has. Older boards do not have it."""
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
    who: NotRequired[str | None]
    """Who submitted the run; null where nobody did. Older boards do not have it, nor the next."""
    version: NotRequired[str | None]
    """Of coreheads, that a submitted run was made with; null where nobody submitted it."""
    told_apart: bool | None
    """True where another row differs from it in its patch's settings only; else null."""
