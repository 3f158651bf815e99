"""Short benchmarks of small models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from coreheads.bench.heads import Entry, entries
from coreheads.bench.rows import Details, Row
from coreheads.bench.run import bench
from coreheads.bench.settings import Plan, Settings
from coreheads.bench.target import Target

QUICK = ["--repeats", "2", "--warmup", "0", "--decode-tokens", "3", "--sink", "4", "--window", "16"]
PLAN = Plan(repeats=2, warmup=0, decode_tokens=3)
SETTINGS = Settings("small", [300], [0.25], ["clustered"], [(4, 16)], Path("bench.json"), plan=PLAN)


def compared(target: Target, **changes: Any) -> list[Entry]:
    """What SETTINGS compare, with changes."""
    return entries(target, replace(SETTINGS, **changes))


def run(target: Target) -> tuple[list[Row], Details]:
    """A benchmark of 300 tokens."""
    return bench(target, SETTINGS, print)
