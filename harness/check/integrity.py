"""Whether a run's stored scores agree with each other, before they are compared with any other's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coreheads.check.findings import Finding
from coreheads.stats import pooling
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile
from coreheads.store.schema import CellRecord, SampleRecord

SAME = 1e-6
"""Scores nearer to each other than this are the same."""


def contradictions(run: RunFolder) -> Iterator[Finding]:
    """A finding for every finished cell whose file is shorter than it says, whose samples' scores are not those that
    stand beside them (a changed scorer), or whose own score is not that of its samples (a damaged cell)."""
    for name, cell in run.cells().items():
        store = run.samples(name, whole=False)
        if lacking := store.lacking(cell["n"], cell.get("unscored") or 0):
            yield Finding("damaged", name, None, None, False, f"a damaged cell: its file {lacking}")
            continue
        yield from _samples(name, cell, store)
        yield from _set(name, cell, store)


def _samples(name: str, cell: CellRecord, store: SampleFile) -> Iterator[Finding]:
    others = {key: own for key, line in store.samples.items() if (own := _other(line, cell["metric"])) is not None}
    if others:
        first, own = next(iter(others.items()))
        text = (
            f"a changed scorer: {len(others)} of {len(store.samples)} samples have another score than stands in their "
            f"own scores, as {first}: {store.samples[first]['score']:g}, {own}"
        )
        yield Finding("scorer", name, None, None, False, text)


def _other(line: SampleRecord, metric: str) -> str | None:
    """What a sample's own scores say, where its score is none of them. A board's metric may be one of the whole set, of
    which a sample has none."""
    scores = line.get("scores") or {}
    known = {metric: scores[metric]} if metric in scores else scores
    if not known or any(abs(value - line["score"]) <= SAME for value in known.values()):
        return None
    return ", ".join(f"{key} {value:g}" for key, value in known.items())


def _set(name: str, cell: CellRecord, store: SampleFile) -> Iterator[Finding]:
    score = cell.get("score")
    if score is None or not store.samples or len(store.samples) != cell["n"]:
        return  # more than it had: it is being asked again for what could not be scored
    weights = pooling.weights({key: line.get("group") for key, line in store.samples.items()})
    mean = float(np.mean([weights[key] * line["score"] for key, line in store.samples.items()]))
    if abs(mean - score) > SAME:
        text = f"a damaged cell: cells.jsonl says {score:g}, the scores of its {cell['n']} samples make {mean:g}"
        yield Finding("damaged", name, None, None, False, text)
