"""``coreheads bench``: dense against hybrid attention by phase and context length, checked while it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import torch

from coreheads import environment
from coreheads.adapters.kernels import autotune
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.check import Checked, check
from coreheads.bench.extra import RamCost
from coreheads.bench.heads import Entry, spread
from coreheads.bench.rows import SCHEMA_VERSION, Condition, Row, rows
from coreheads.bench.settings import Plan, Settings
from coreheads.bench.target import Target
from coreheads.bench.timing import Measured, measure
from coreheads.errors import UserError
from coreheads.files import write_json
from coreheads.heads.selections import head_count
from coreheads.heads.types import Heads
from coreheads.timing.speedup import end_to_end


class Context(TypedDict):
    """One context length; all but the length are missing where it does not fit into memory."""

    context: int
    """Tokens of the prompt."""
    out_of_memory: NotRequired[str]
    """What the device said, where it does not fit."""
    vision_tokens: NotRequired[int]
    """Of the prompt's."""
    dense_kernels: NotRequired[dict[str, dict[str, float]]]
    """``[phase][kernel]``, median seconds of the dense kernels tried."""
    hybrid_kernels: NotRequired[dict[str, dict[str, object]]]
    """By shape, of all that were met so far: the kernel chosen, the median seconds of each, and why others failed."""
    checked: NotRequired[dict[str, Checked]]
    """By entry."""
    seconds: NotRequired[dict[str, dict[str, list[float]]]]
    """``[variant][phase]``, of every repeat; decode is a token's."""
    kv_bytes: NotRequired[dict[str, int]]
    """By variant, after the prompt."""
    peak_bytes: NotRequired[dict[str, int | None]]
    """By variant, the most allocated; null where the device is no GPU."""


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
    contexts: list[Context]
    ram: NotRequired[list[RamCost]]
    """By context length, where asked for."""
    longest: NotRequired[dict[str, int | None]]
    """By variant, the most tokens that fit, where asked for; null: fewer than were tried."""


def entries(target: Target, settings: Settings) -> list[Entry]:
    """What is compared with dense attention: every selection, fraction and (sink, window).

    With a profile a selection is "top" of it; without one it is a spread of ``coreheads.bench.heads``.
    """
    layers, heads, kv_heads = target.shape
    profile = settings.heads
    if profile is not None:
        shape = {"layers": layers, "heads": heads, "kv_heads": kv_heads}
        profile.check_model({"id": target.name, "model_type": target.model.config.model_type, **shape})
    compared = []
    for selection in settings.selections:
        for fraction in settings.fractions:
            head_count(fraction, layers * heads)
            chosen: Heads
            if selection != "top":
                chosen = spread(selection, fraction, layers, heads, kv_heads)
            elif profile is not None:
                chosen = profile.top(fraction)
            else:
                raise UserError("--selection is top, expected --heads FILE with it, or clustered or scattered")
            for sink, window in settings.patterns:
                patch = Hybrid(chosen, sink, window, granularity=settings.granularity)
                patch.check(target.model)
                compared.append(Entry(selection, fraction, patch))
    return compared


def bench(
    target: Target,
    contexts: Sequence[int],
    compared: Sequence[Entry],
    plan: Plan,
    say: Callable[[str], None] = lambda line: None,
    save: Callable[[list[Row], Details], None] = lambda rows, details: None,
) -> tuple[list[Row], Details]:
    """Measure over the contexts, shortest first.

    On a GPU a context at which dense attention does not fit ends the series, and the details say so.

    Args:
        save: Called after each context.

    Returns:
        The rows of bench.json, and the details.

    Raises:
        BenchError: Outputs are wrong, or work is not saved.
    """
    details: Details = {
        "command": environment.command_line(),
        "date": environment.now(),
        "versions": environment.versions(),
        "machine": environment.machine(str(target.model.device)),
        "decode_tokens": plan.decode_tokens,
        "prefill_chunk": plan.prefill_chunk,
        "kv_heads_full": {entry.name: list(entry.patch.full_kv_share(target.model)) for entry in compared},
        "heads": {entry.name: len(entry.patch.on(target.model).heads) for entry in compared},
        "contexts": [],
    }
    measured_rows: list[Row] = []
    patches = {entry.name: entry.patch for entry in compared}
    for context in sorted(contexts):
        try:
            workload = target.workload(context, plan.batch)
            checked = {
                name: check(target, workload, name, patch, plan.prefill_chunk) for name, patch in patches.items()
            }
            measured = measure(target, workload, patches, plan)
        except torch.OutOfMemoryError as error:
            details["contexts"].append({"context": context, "out_of_memory": str(error).splitlines()[0]})
            say(f"{context:,} tokens: does not fit into memory; longer contexts are left out")
            save(measured_rows, details)
            torch.cuda.empty_cache()
            break
        measured_rows += _rows(target, context, compared, measured, plan)
        details["contexts"].append(
            {
                "context": context,
                "vision_tokens": workload.vision_tokens,
                "dense_kernels": measured.kernels,
                "hybrid_kernels": {
                    shape: {"chosen": result.name, "seconds": dict(result.seconds), "failed": dict(result.failed)}
                    for shape, result in autotune.choices().items()
                },
                "checked": checked,
                "seconds": measured.times,
                "kv_bytes": measured.kv_bytes,
                "peak_bytes": measured.peak_bytes,
            }
        )
        if measured.repeats < plan.repeats:
            say(f"{context:,} tokens: {measured.repeats} repeats only, a dense prefill takes over 20 s")
        save(measured_rows, details)
        say(f"{context:,} tokens: done")
    return measured_rows, details


def _rows(target: Target, context: int, compared: Sequence[Entry], measured: Measured, plan: Plan) -> list[Row]:
    times = {
        name: {**phases, "end_to_end": end_to_end(phases, plan.decode_tokens)}
        for name, phases in measured.times.items()
    }
    made: list[Row] = []
    for entry in compared:
        peak, dense_peak = measured.peak_bytes[entry.name], measured.peak_bytes["dense"]
        condition: Condition = {
            "model": target.name,
            "weights": target.weights,
            "device": environment.device_name(str(target.model.device)),
            "dtype": str(target.model.dtype).removeprefix("torch."),
            "context": context,
            "batch": plan.batch,
            "selection": entry.selection,
            "fraction": entry.fraction,
            "sink": entry.patch.sink,
            "window": entry.patch.window,
            "kv_bytes_ratio": measured.kv_bytes[entry.name] / measured.kv_bytes["dense"],
            "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
            "repeats": measured.repeats,
        }
        ceiling = times[f"ceiling {entry.name}"]
        made += rows(condition, times["dense"], times[entry.name], ceiling, measured.dense_kernel)
    return made


def write(out: Path, measured: Sequence[Row], details: Details) -> None:
    """bench.json, and beside it bench.details.json: raw times, kernels tried, versions, the command."""
    write_json(out, {"schema_version": SCHEMA_VERSION, "rows": list(measured)})
    write_json(details_path(out), dict(details))


def details_path(out: Path) -> Path:
    """``bench.json`` -> ``bench.details.json``."""
    return out.with_name(f"{out.stem}.details.json")
