"""A whole benchmark: load, check, time, write. What ``coreheads bench`` does, without a command line."""

from __future__ import annotations

from collections.abc import Callable

import torch

from coreheads import environment
from coreheads.adapters.generation.devices import input_device, model_devices
from coreheads.adapters.generation.structure import context_limit
from coreheads.adapters.kernels import autotune
from coreheads.bench import memory, ram_and_fit, text
from coreheads.bench.check import check
from coreheads.bench.heads import Entry, entries
from coreheads.bench.rows import SCHEMA_VERSION, Condition, Details, Row, Tried, rows_of, whole
from coreheads.bench.settings import Plan, Settings
from coreheads.bench.target import Target, load, shapes
from coreheads.bench.timing import Measured, fastest_kernels, measure
from coreheads.errors import UserError
from coreheads.files import write_errors, write_json


def dry_run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """What memory it would take on a GPU; nothing is loaded, measured or written. UserError as ``run``."""
    target = shapes(settings.model, settings.dtype or "bfloat16")
    _check_contexts(target, settings)
    return memory.report(target, settings, say)


def run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """Measure, write the files after every context, and give the report.

    Raises:
        UserError: What is asked for cannot be run.
        BenchError: Outputs are wrong or no work is saved.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    target = load(settings.model, settings.random_weights, settings.device, settings.dtype)
    _check_contexts(target, settings)
    beside = settings.out.with_name(f"{settings.out.stem}.details.json")

    def save(rows: list[Row], details: Details) -> None:
        with write_errors(settings.out):
            write_json(settings.out, {"schema_version": SCHEMA_VERSION, "rows": rows})
            write_json(beside, details)

    rows, details = bench(target, settings, say, save)
    if settings.ram:
        details["ram"] = ram_and_fit.ram_cost(target, settings, say)
    if settings.longest:
        details["longest"] = ram_and_fit.longest(target, settings, say)
    save(rows, details)
    written = f"Written: {settings.out}, {beside}"
    if rows:
        with write_errors(settings.out):
            picture = text.draw(rows, settings.out.with_suffix(".png"))
        written += f", {picture}" if picture else "\nNo picture: altair and vl-convert-python are not installed."
    beside_phases = ram_and_fit.report(details.get("ram", []), details.get("longest", {}))
    return "\n".join(filter(None, [text.report(rows, details), beside_phases, written]))


def _check_contexts(target: Target, settings: Settings) -> None:
    """UserError for prompts that are longer than a checkpoint takes; of random weights any length may be timed."""
    limit, longest = context_limit(target.model), max(settings.contexts)
    if not settings.random_weights and limit is not None and longest > limit:
        raise UserError(
            f"--context: {longest:,} tokens, expected at most the {limit:,} that {target.name} takes "
            "(--random-weights times a shape at any length)"
        )


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
        "machine": environment.machine(str(input_device(target.model))),
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
        hybrid_kernels: dict[str, Tried] = {
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
        {**phases, "end_to_end": whole(phases, plan.decode_tokens)}
        for phases in (measured["seconds"][name] for name in ("dense", entry.name, f"ceiling {entry.name}"))
    )
    peak, dense_peak = measured["peak_bytes"][entry.name], measured["peak_bytes"]["dense"]
    condition: Condition = {
        "model": target.name,
        "weights": target.weights,
        "device": environment.devices_name(model_devices(target.model)),
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
