"""Makes the printed documents, once, in a cache folder."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from coreheads.cache import build_once, cache_folder
from coreheads.errors import UserError, expected_one_of
from coreheads.files import matching, write_json
from coreheads.tasks.smol import writers
from coreheads.tasks.smol.print import SIDE
from coreheads.tasks.smol.world import SPLITS, Document, make_document

MARKER = "smol.json"
"""Lies in every finished folder."""

BEFORE, BEYOND = 24, 90
"""Words before the first and after the last fact: with the question's own tokens more than 16 sinks and a window of
128 reach."""

SPARE = 12
"""Words by which a document may be shorter than its pages: no sentence has more."""

DOCUMENTS = {"profile": 4, "test": 17}
"""Of each set, with 12 questions each."""


@dataclass(frozen=True)
class Set:
    """A set of documents: the writer of its format, and how long a document is."""

    write: Callable[[Path, str, writers.Documents], None]
    pages: int
    """Of 144 words each."""


SETS = {
    "doc_450": Set(writers.write_mmlongbench_doc, 3),
    "doc_1000": Set(writers.write_mmlongbench_doc, 7),
    "doc_2000": Set(writers.write_mmlongbench_doc, 14),
    "doc_4000": Set(writers.write_mmlongbench_doc, 28),
    "docqa": Set(writers.write_mmlongbench, 5),
    "slides": Set(writers.write_mlvu, 5),
}


@cache
def version() -> str:
    """Names the data: a hash over everything that draws and writes it."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in [*matching(here, "*.py"), here / "_world_yaml", here / "words.txt", here / "glyphs.png"]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def document(name: str, split: str, number: int, seed: int = 0) -> Document:
    """A document of a set; every set, split, number and seed has its own random choices."""
    rng = random.Random(f"smol {name} {split} {number} {seed}")
    return make_document(rng, split, SETS[name].pages * SIDE * SIDE - SPARE, BEFORE, BEYOND)


def benchmark_folder(benchmark: str, data_root: str | Path | None, make: bool) -> Path:
    """Where a set's data is: in the data root, if it has some; else in the cache, made there if asked."""
    if benchmark not in SETS:
        raise UserError(f"smol data: {benchmark!r}, {expected_one_of(benchmark, SETS)}")
    if data_root is not None and (Path(data_root) / benchmark / MARKER).is_file():
        return Path(data_root) / benchmark
    target = cache_folder("smol") / f"data-{version()}" / benchmark
    return build_once(target, lambda folder: write(folder, benchmark)) if make else target


def write(folder: Path, benchmark: str, seed: int = 0) -> None:
    """Write a set with its splits into a folder; another seed gives other documents of the same kind."""
    chosen = SETS[benchmark]
    for split in SPLITS:
        documents = (
            (f"{split}_{number:02d}", document(benchmark, split, number, seed)) for number in range(DOCUMENTS[split])
        )
        chosen.write(folder, split, documents)
    write_json(folder / MARKER, {"schema_version": 1, "set": benchmark, "seed": seed, "version": version()})
