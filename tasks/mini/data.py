"""Makes the mini benchmarks, once, in a cache folder: the benchmarks' own file formats over one synthetic world."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from coreheads.cache import build_once
from coreheads.cache import cache_folder as _own_folder
from coreheads.errors import UserError, expected_one_of
from coreheads.files import matching, write_json
from coreheads.tasks.mini.sizes import BENCHMARKS, GENERATOR, SPLITS, Sizes
from coreheads.text import visible

MARKER = "mini.json"
"""Lies in every finished folder and says what made it."""


def cache_folder() -> Path:
    """Where mini data lives: $XDG_CACHE_HOME or ~/.cache, then coreheads/mini."""
    return _own_folder("mini")


def version(sizes: Sizes | None = None) -> str:
    """Names the data: a hash over the sizes and the sources that draw and write it."""
    here = Path(__file__).parent
    sources = [here / name for name in ("sizes.py", "sprites.py", "world.py")]
    digest = hashlib.sha256(json.dumps([GENERATOR, asdict(sizes or Sizes())]).encode())
    for source in sources + matching(here / "writers", "*.py"):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def ensure(benchmarks: Sequence[str] | None = None, *, sizes: Sizes | None = None, cache: Path | None = None) -> Path:
    """The folder <cache>/<version> with a finished folder for each of ``benchmarks`` (default: all); made if missing.

    A crash leaves nothing half made, and of two processes that build at once the first to finish wins.
    """
    wanted = BENCHMARKS if benchmarks is None else tuple(benchmarks)
    for name in wanted:
        if name not in BENCHMARKS:
            raise UserError(f"mini data: {name!r}, {expected_one_of(name, BENCHMARKS)}")
    sizes = sizes or Sizes()
    root = (cache or cache_folder()) / version(sizes)
    missing = [name for name in wanted if not (root / name / MARKER).is_file()]
    if missing:
        _build(root, missing, sizes)
    return root


def benchmark_folder(benchmark: str, data_root: str | Path | None, make: bool) -> Path:
    """Where a benchmark's data is: in the data root, if it has some; else in the cache, made there if asked."""
    if data_root is not None and (Path(data_root) / benchmark / MARKER).is_file():
        return Path(data_root) / benchmark
    return (ensure([benchmark]) if make else cache_folder() / version()) / benchmark


def _build(root: Path, missing: Sequence[str], sizes: Sizes) -> None:
    from rich.console import Console
    from rich.progress import Progress

    def write(folder: Path) -> None:
        writer: Any = import_module(f"coreheads.tasks.mini.writers.{name}")
        for split in SPLITS:
            writer.write(folder, split, sizes.questions(name, split), lambda questions: bar.advance(job, questions))
        made = {"schema_version": 1, "generator": GENERATOR, "sizes": asdict(sizes), "version": root.name}
        write_json(folder / MARKER, made)

    total = sum(sizes.questions(name, split) for name in missing for split in SPLITS)
    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        console.print(
            visible(f"making mini data ({', '.join(missing)}) in {root}"),
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        job = bar.add_task("making mini data", total=total)
        for name in missing:
            bar.update(job, description=f"making mini data: {name}")
            build_once(root / name, write)
