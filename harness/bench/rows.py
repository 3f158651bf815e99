"""What bench.json and bench.details.json hold; rows from measured times; and the crossover length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, NotRequired, TypedDict

from coreheads.bench.check import Checked
from coreheads.bench.ram_and_fit import RamCost
from coreheads.bench.timing import Measured
from coreheads.stats.bootstrap import bootstrap_median_ci, ratio_of_medians_ci
from coreheads.text import visible
from coreheads.timing.speedup import end_to_end

if TYPE_CHECKING:  # speed is also measured where pydantic is not installed
    from coreheads.store.schema import Phases

SCHEMA_VERSION = 1

PHASES = ("preprocess", "vision", "prefill", "decode", "end_to_end")
SAME_FOR_ALL = ("preprocess", "vision")
"""Phases that hybrid attention does not touch: one measurement stands for dense and hybrid."""

Times = Mapping[str, Sequence[float]]
"""Seconds of every repeat by phase; ``decode`` is a token's."""


class Condition(TypedDict):
    """What was run, the same for all phases. Null: not measured."""

    model: str
    """A hub id, a folder, ``tiny``, ``smol`` or ``smol-onevision``."""
    weights: str
    """``loaded`` from a checkpoint or ``random``."""
    device: str
    """The device in words."""
    dtype: str
    """Of the weights, as float32."""
    context: int
    """Tokens of the prompt."""
    batch: int
    """Prompts at a time."""
    selection: str
    """Which heads attend fully: ``top`` of a profile, ``clustered`` or ``scattered``."""
    fraction: float
    """Of all heads of the language model, in (0, 1]."""
    sink: int
    """First tokens that every head sees."""
    window: int
    """Last tokens that every head sees."""
    kv_bytes_ratio: float
    """Bytes of the key-value cache after the prompt, hybrid over dense."""
    peak_memory_ratio: float | None
    """Most bytes allocated during a run, hybrid over dense; null where the device is no GPU."""
    repeats: int
    """Measurements of every phase and variant."""


class Row(Condition):
    """One phase. Times are medians in milliseconds; intervals are 95 %, [low, high]; null where not measured."""

    phase: str
    """One of PHASES."""
    dense_kernel: str | None
    """The fastest dense kernel of this device, by which dense ran; null for the phases that are the same for all."""
    dense_ms: float
    """A token's for decode."""
    dense_ci: list[float]
    hybrid_ms: float
    hybrid_ci: list[float]
    speedup: float
    """Dense over hybrid."""
    speedup_ci: list[float]
    ceiling: float | None
    """The speedup with the other heads' attention left out; null for the phases that are the same for all."""
    ceiling_share: float | None
    """``speedup`` over ``ceiling``."""


class OutOfMemory(TypedDict):
    """A context length that does not fit into memory."""

    context: int
    """Tokens of the prompt."""
    out_of_memory: str
    """What the device said."""


class Tried(TypedDict):
    """What one shape of attention was tried with."""

    chosen: str
    """The fastest."""
    seconds: dict[str, float]
    """By kernel, median of a call."""
    failed: dict[str, str]
    """By kernel, why it was left out."""


class Context(Measured):
    """One context length."""

    context: int
    """Tokens of the prompt."""
    vision_tokens: int
    """Of the prompt's."""
    hybrid_kernels: dict[str, Tried]
    """By shape, of all that were met so far."""
    checked: dict[str, Checked]
    """By entry."""


class Details(TypedDict):
    """What stands in bench.details.json."""

    command: str
    date: str
    """UTC, ISO 8601."""
    versions: dict[str, str | None]
    """Of the packages that matter; null where one is not installed."""
    machine: Mapping[str, object]
    """What `coreheads doctor` says of it."""
    decode_tokens: int
    """Decoded a run."""
    prefill_chunk: int | None
    """Tokens of a prompt computed at a time; null: all."""
    kv_heads_full: dict[str, list[int]]
    """By entry: how many KV heads keep all tokens, and how many there are."""
    heads: dict[str, int]
    """By entry: how many heads attend fully."""
    contexts: list[Context | OutOfMemory]
    ram: NotRequired[list[RamCost]]
    """By context length, where asked for."""
    longest: NotRequired[dict[str, int | None]]
    """By variant, the most tokens that fit, where asked for; null: fewer than were tried."""


def whole(times: Times, tokens: int) -> list[float]:
    """End to end, a repeat, of the phases that were measured: one without times takes no part."""
    unmeasured = [0.0] * len(times["prefill"])
    phases: Phases = {
        "preprocess": list(times["preprocess"] or unmeasured),
        "vision": list(times["vision"] or unmeasured),
        "prefill": list(times["prefill"]),
        "decode": list(times["decode"]),
    }
    return end_to_end(phases, tokens)


def rows_of(condition: Condition, dense: Times, hybrid: Times, ceiling: Times, kernels: Mapping[str, str]) -> list[Row]:
    """The rows of one condition, a phase each; a phase without times has none.

    Args:
        condition: What the rows share.
        dense, hybrid, ceiling: Measured in turns.
        kernels: Dense kernels of prefill and decode.
    """
    made: list[Row] = []
    for phase in PHASES:
        if not dense.get(phase):
            continue
        speedup, low, high = ratio_of_medians_ci(dense[phase], hybrid[phase])
        kernel, limit = None, None
        if phase not in SAME_FOR_ALL:
            kernel = kernels.get(phase, "+".join(dict.fromkeys(kernels.values())))
            limit, _, _ = ratio_of_medians_ci(dense[phase], ceiling[phase])
        made.append(
            {
                **condition,
                "phase": phase,
                "dense_kernel": kernel,
                "dense_ms": 1000 * median(dense[phase]),
                "dense_ci": [1000 * edge for edge in bootstrap_median_ci(dense[phase])],
                "hybrid_ms": 1000 * median(hybrid[phase]),
                "hybrid_ci": [1000 * edge for edge in bootstrap_median_ci(hybrid[phase])],
                "speedup": speedup,
                "speedup_ci": [low, high],
                "ceiling": limit,
                "ceiling_share": None if limit is None else speedup / limit,
            }
        )
    return made


def crossover(points: Sequence[tuple[int, float]]) -> tuple[float | None, str]:
    """(length, words): from which context on hybrid is faster; ``points`` are (tokens, speedup) of one phase.

    Between two measured lengths it is interpolated, the speedup linearly over the logarithm of the length. None where
    it lies outside the lengths measured.
    """
    ordered = sorted(points)
    slower = [index for index, (_, speedup) in enumerate(ordered) if speedup <= 1]
    if not slower:
        return None, f"faster at every length measured, from {ordered[0][0]:,} tokens on"
    last = slower[-1]
    if last == len(ordered) - 1:
        return None, f"not faster at {ordered[-1][0]:,} tokens, the longest measured"
    (shorter, below), (longer, above) = ordered[last], ordered[last + 1]
    share = (1 - below) / (above - below)
    length = math.exp(math.log(shorter) + share * (math.log(longer) - math.log(shorter)))
    return length, f"faster from about {length:,.0f} tokens on (between {shorter:,} and {longer:,})"


def series(rows: Sequence[Row], phase: str) -> dict[str, list[Row]]:
    """The rows of a phase by what was run, each by ascending context."""
    lines: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if row["phase"] == phase), key=lambda row: row["context"]):
        lines.setdefault(title(row), []).append(row)
    return lines


def title(row: Row) -> str:
    """A model, a selection and a pattern in words."""
    name = visible(row["model"].rsplit("/", 1)[-1])
    heads = f"{row['selection']} {100 * row['fraction']:g} % of heads" if row["fraction"] else row["selection"]
    return f"{name}, {heads}, sink {row['sink']}, window {row['window']}"
