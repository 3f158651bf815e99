"""A whole benchmark: load, check, time, write. What ``coreheads bench`` does, without a command line."""

from __future__ import annotations

from collections.abc import Callable

import torch

from coreheads.adapters.checkpoints import loading
from coreheads.bench import extra, memory, text
from coreheads.bench.rows import SCHEMA_VERSION, Row
from coreheads.bench.series import Details, bench
from coreheads.bench.settings import Settings
from coreheads.bench.target import load, shapes
from coreheads.files import write_json, writing


def dry_run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """What memory it would take on a GPU; nothing is loaded, measured or written. UserError as ``run``."""
    target = shapes(settings.model, settings.dtype or "bfloat16")
    return memory.report(target, settings, say)


def run(settings: Settings, say: Callable[[str], None] = print) -> str:
    """Measure, write the files after every context, and give the report.

    Raises:
        UserError: What is asked for cannot be run.
        BenchError: Outputs are wrong or no work is saved.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = loading.device(settings.device)
    dtype = settings.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    target = load(settings.model, settings.random_weights, str(device), dtype)
    beside = settings.out.with_name(f"{settings.out.stem}.details.json")

    def save(rows: list[Row], details: Details) -> None:
        with writing(settings.out):
            write_json(settings.out, {"schema_version": SCHEMA_VERSION, "rows": rows})
            write_json(beside, details)

    rows, details = bench(target, settings, say, save)
    if settings.ram:
        details["ram"] = extra.ram_cost(target, settings, say)
    if settings.longest:
        details["longest"] = extra.longest(target, settings, say)
    save(rows, details)
    written = f"Written: {settings.out}, {beside}"
    if rows:
        with writing(settings.out):
            picture = text.draw(rows, settings.out.with_suffix(".png"))
        written += f", {picture}" if picture else "\nNo picture: altair and vl-convert-python are not installed."
    parts = [text.report(rows, details), extra.report(details.get("ram", []), details.get("longest", {})), written]
    return "\n".join(filter(None, parts))
