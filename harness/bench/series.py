"""``coreheads bench``: dense against hybrid attention by phase and context length, checked while it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NotRequired, TypedDict

import torch

from coreheads import environment
from coreheads.adapters.kernels import autotune
from coreheads.bench.check import Checked, check
from coreheads.bench.extra import RamCost
from coreheads.bench.heads import Entry, entries
from coreheads.bench.rows import Condition, Row, rows_of
from coreheads.bench.settings import Plan, Settings
from coreheads.bench.target import Target
from coreheads.bench.timing import Measured, fastest_kernels, measure
from coreheads.timing.speedup import end_to_end


class OutOfMemory(TypedDict):
    """A context length that does not fit into memory."""

    context: int
    """Tokens of the prompt."""
    out_of_memory: str
    """What the device said."""


class Context(Measured):
    """One context length."""

    context: int
    """Tokens of the prompt."""
    vision_tokens: int
    """Of the prompt's."""
    hybrid_kernels: dict[str, dict[str, object]]
    """By shape, of all that were met so far: the kernel chosen, the median seconds of each, and why others failed."""
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


def bench(
    target: Target,
    settings: Settings,
    say: Callable[[str], None],
    save: Callable[[list[Row], Details], None] = lambda rows, details: None,
) -> tuple[list[Row], Details]:
    """Measure over the contexts, shortest first.

    On a GPU a context at which dense attention does not fit ends the series, and the details say so.

    Args:
        save: Called after each context.

    Returns:
        The rows of bench.json, and the details.

    Raises:
        UserError: The heads asked for are none of the model's.
        BenchError: Outputs are wrong, or work is not saved.
    """
    compared, plan = entries(target, settings), settings.plan
    patches = {entry.name: entry.patch for entry in compared}
    details: Details = {
        "command": environment.command_line(),
        "date": environment.now(),
        "versions": environment.versions(),
        "machine": environment.machine(str(target.model.device)),
        "decode_tokens": plan.decode_tokens,
        "prefill_chunk": plan.prefill_chunk,
        "kv_heads_full": {name: list(patch.full_kv_share(target.model)) for name, patch in patches.items()},
        "heads": {name: len(patch.on(target.model).heads) for name, patch in patches.items()},
        "contexts": [],
    }
    rows: list[Row] = []
    for context in sorted(settings.contexts):
        try:
            workload = target.workload(context, plan.batch)
            checked = {
                name: check(target, workload, name, patch, plan.prefill_chunk) for name, patch in patches.items()
            }
            measured = measure(target, workload, patches, plan)
        except torch.OutOfMemoryError as error:
            details["contexts"].append({"context": context, "out_of_memory": str(error).splitlines()[0]})
            say(f"{context:,} tokens: does not fit into memory; longer contexts are left out")
            save(rows, details)
            torch.cuda.empty_cache()
            break
        hybrid_kernels: dict[str, dict[str, object]] = {
            shape: {"chosen": result.name, "seconds": dict(result.seconds), "failed": dict(result.failed)}
            for shape, result in autotune.choices().items()
        }
        details["contexts"].append(
            {
                "context": context,
                "vision_tokens": workload.vision_tokens,
                "hybrid_kernels": hybrid_kernels,
                "checked": checked,
                **measured,
            }
        )
        for entry in compared:
            rows += _rows(target, context, entry, measured, plan)
        if (repeats := len(measured["seconds"]["dense"]["prefill"])) < plan.repeats:
            say(f"{context:,} tokens: {repeats} repeats only, a dense prefill takes over 20 s")
        save(rows, details)
        say(f"{context:,} tokens: done")
    return rows, details


def _rows(target: Target, context: int, entry: Entry, measured: Measured, plan: Plan) -> list[Row]:
    dense, hybrid, ceiling = (
        {**phases, "end_to_end": end_to_end(phases, plan.decode_tokens)}
        for phases in (measured["seconds"][name] for name in ("dense", entry.name, f"ceiling {entry.name}"))
    )
    peak, dense_peak = measured["peak_bytes"][entry.name], measured["peak_bytes"]["dense"]
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
        "kv_bytes_ratio": measured["kv_bytes"][entry.name] / measured["kv_bytes"]["dense"],
        "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
        "repeats": len(dense["prefill"]),
    }
    return rows_of(condition, dense, hybrid, ceiling, fastest_kernels(measured["dense_kernels"]))
