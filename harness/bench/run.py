"""A whole benchmark: load, check, time, write. What ``coreheads bench`` does, without a command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from coreheads.adapters.checkpoints import loading
from coreheads.adapters.patches.hybrid import Granularity
from coreheads.bench import extra
from coreheads.bench import series as bench
from coreheads.bench import text as bench_text
from coreheads.bench.rows import Row
from coreheads.bench.target import Target, load
from coreheads.bench.timing import Plan
from coreheads.files import writing
from coreheads.heads.profile import HeadProfile


@dataclass(frozen=True)
class Settings:
    """What is measured, and where it is written.

    heads: a head profile, needed by the selection "top". patterns: (sink, window). dtype "auto": bfloat16 on a GPU,
    else float32. out: bench.json; details and a picture go beside it. ram, longest: also measure what RAM costs, and
    the longest context that fits.
    """

    model: str
    contexts: list[int]
    fractions: list[float]
    selections: list[str]
    patterns: list[tuple[int, int]]
    out: Path
    heads: HeadProfile | None = None
    random_weights: bool = False
    device: str = "auto"
    dtype: str = "auto"
    granularity: Granularity = "query"
    plan: Plan = field(default_factory=Plan)
    threads: int | None = None
    ram: bool = False
    longest: bool = False


def dry_run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """What memory it would take on a GPU; nothing is loaded, measured or written. UserError as ``run``."""
    from coreheads.bench import memory as bench_memory
    from coreheads.bench.target import shapes

    target = shapes(settings.model, "bfloat16" if settings.dtype == "auto" else settings.dtype)
    return bench_memory.report(target, settings.contexts, _compared(settings, target), settings.plan, say)


def _compared(settings: Settings, target: Target) -> list[bench.Entry]:
    return bench.entries(
        target, settings.heads, settings.selections, settings.fractions, settings.patterns, settings.granularity
    )


def run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """Measure, write the files after every context, and give the report.

    UserError for what cannot be run; ``bench_check.BenchError`` where outputs are wrong or no work is saved.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = loading.device(settings.device)
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    target = load(settings.model, settings.random_weights, str(device), dtype)
    compared = _compared(settings, target)

    def save(rows: list[Row], details: dict[str, Any]) -> None:
        with writing(settings.out):
            bench.write(settings.out, rows, details)

    rows, details = bench.bench(target, settings.contexts, compared, settings.plan, say, save)
    if settings.ram:
        details["ram"] = extra.ram_cost(target, settings.contexts, settings.plan.repeats, say)
    if settings.longest:
        details["longest"] = extra.longest(target, compared, max(settings.contexts), say)
    save(rows, details)
    lines = [bench_text.report(rows, details), extra.report(details)]
    written = f"{settings.out}, {bench.details_path(settings.out)}"
    if rows:
        with writing(settings.out):
            written += f", {bench_text.draw(rows, settings.out.with_suffix('.png'))}"
    return "\n".join(filter(None, [*lines, f"Written: {written}"]))
