"""``coreheads bench``: dense against hybrid attention by phase and context length, checked while it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coreheads import environment
from coreheads.adapters.kernels import autotune
from coreheads.adapters.patches.hybrid import Granularity, Hybrid
from coreheads.bench import check as bench_check
from coreheads.bench import timing
from coreheads.bench.heads import spread
from coreheads.bench.rows import SCHEMA_VERSION, Row, rows
from coreheads.bench.target import Target
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.heads.selections import head_count
from coreheads.heads.types import Heads


@dataclass(frozen=True)
class Entry:
    """One selection with one pattern."""

    selection: str
    fraction: float
    patch: Hybrid

    @property
    def name(self) -> str:
        return f"{self.selection} {100 * self.fraction:g} %, sink {self.patch.sink}, window {self.patch.window}"


def entries(
    target: Target,
    profile: HeadProfile | None,
    selections: Sequence[str],
    fractions: Sequence[float],
    patterns: Sequence[tuple[int, int]],
    granularity: Granularity,
) -> list[Entry]:
    """What is compared with dense attention: every selection, fraction and (sink, window).

    With a profile a selection is "top" of it; without one it is a spread of ``coreheads.bench.heads``.
    """
    layers, heads, kv_heads = target.shape
    if profile is not None:
        described = {
            "id": target.name,
            "model_type": target.model.config.model_type,
            "layers": layers,
            "heads": heads,
            "kv_heads": kv_heads,
        }
        profile.check_model(described)
    found = []
    for selection in selections:
        for fraction in fractions:
            head_count(fraction, layers * heads)
            chosen: Heads
            if selection == "top":
                if profile is None:
                    raise UserError("--selection is top, expected --heads FILE with it, or clustered or scattered")
                chosen = profile.top(fraction)
            else:
                chosen = spread(selection, fraction, layers, heads, kv_heads)
            for sink, window in patterns:
                patch = Hybrid(chosen, sink, window, granularity=granularity)
                patch.check(target.model)
                found.append(Entry(selection, fraction, patch))
    return found


def bench(
    target: Target,
    contexts: Sequence[int],
    compared: Sequence[Entry],
    plan: timing.Plan,
    say: Callable[[str], None] = lambda line: None,
    save: Callable[[list[Row], dict[str, Any]], None] = lambda rows, details: None,
) -> tuple[list[Row], dict[str, Any]]:
    """(rows of bench.json, details) over the contexts, shortest first. ``save`` is called after each of them.

    Raises ``bench_check.BenchError`` when outputs are wrong or work is not saved. On a GPU a context at which dense
    attention does not fit ends the series, and the details say so.
    """
    details: dict[str, Any] = {
        "command": environment.command_line(),
        "date": environment.now(),
        "versions": environment.versions(),
        "machine": environment.machine(str(target.device)),
        "decode_tokens": plan.decode_tokens,
        "prefill_chunk": plan.prefill_chunk,
        "kv_heads_full": {entry.name: list(entry.patch.full_kv_share(target.model)) for entry in compared},
        "heads": {entry.name: len(entry.patch.on(target.model).heads) for entry in compared},
        "contexts": [],
    }
    found: list[Row] = []
    for context in sorted(contexts):
        try:
            checked = _checked(target, context, compared, plan)
            measured = timing.measure(target, context, {entry.name: entry.patch for entry in compared}, plan)
        except torch.OutOfMemoryError as error:
            details["contexts"].append({"context": context, "out_of_memory": str(error).splitlines()[0]})
            say(f"{context:,} tokens: does not fit into memory; longer contexts are left out")
            save(found, details)
            torch.cuda.empty_cache()
            break
        found += _rows(target, context, compared, measured, plan)
        details["contexts"].append(_context(context, measured, checked))
        if measured.repeats < plan.repeats:
            say(f"{context:,} tokens: {measured.repeats} repeats only, a dense prefill takes over 20 s")
        save(found, details)
        say(f"{context:,} tokens: done")
    return found, details


def _checked(target: Target, context: int, compared: Sequence[Entry], plan: timing.Plan) -> dict[str, dict[str, Any]]:
    workload = target.workload(context, plan.batch)
    return {
        entry.name: bench_check.check(target, workload, entry.name, entry.patch, plan.prefill_chunk)
        for entry in compared
    }


def _rows(
    target: Target, context: int, compared: Sequence[Entry], measured: timing.Measured, plan: timing.Plan
) -> list[Row]:
    times = {name: _with_end(phases, plan.decode_tokens) for name, phases in measured.times.items()}
    found = []
    for entry in compared:
        peak, dense_peak = measured.peak_bytes[entry.name], measured.peak_bytes["dense"]
        common = {
            "model": target.name,
            "weights": target.weights,
            "device": environment.device_name(str(target.device)),
            "dtype": str(target.dtype).removeprefix("torch."),
            "context": context,
            "batch": plan.batch,
            "selection": entry.selection,
            "fraction": entry.fraction,
            "sink": entry.patch.sink,
            "window": entry.patch.window,
            "repeats": measured.repeats,
        }
        memory = {
            "kv_bytes_ratio": measured.kv_bytes[entry.name] / measured.kv_bytes["dense"],
            "peak_memory_ratio": peak / dense_peak if peak and dense_peak else None,
        }
        ceiling = times[f"ceiling {entry.name}"]
        found += rows(common, times["dense"], times[entry.name], ceiling, measured.dense_kernel, memory)
    return found


def _with_end(phases: Mapping[str, list[float]], decode_tokens: int) -> dict[str, list[float]]:
    return {**phases, "end_to_end": timing.end_to_end(phases, decode_tokens)}


def _context(context: int, measured: timing.Measured, checked: dict[str, Any]) -> dict[str, Any]:
    return {
        "context": context,
        "vision_tokens": measured.workload.vision_tokens,
        "dense_kernels": measured.kernels,
        "hybrid_kernels": {
            signature: {"chosen": result.name, "seconds": dict(result.seconds), "failed": dict(result.failed)}
            for signature, result in autotune.choices().items()
        },
        "checked": checked,
        "seconds": measured.times,
        "kv_bytes": measured.kv_bytes,
        "peak_bytes": measured.peak_bytes,
    }


def write(out: Path, found: Sequence[Row], details: Mapping[str, Any]) -> None:
    """bench.json, and beside it bench.details.json: raw times, kernels tried, versions, the command."""
    from coreheads.files import write_json

    write_json(out, {"schema_version": SCHEMA_VERSION, "rows": list(found)})
    write_json(details_path(out), dict(details))


def details_path(out: Path) -> Path:
    """``bench.json`` -> ``bench.details.json``."""
    return out.with_name(f"{out.stem}.details.json")
