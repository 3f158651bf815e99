"""Tables of the accuracies that ``evidence.py judge`` found, for ``evidence_tables.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

REFERENCE = "doc_450"
"""The set on which the choices are compared."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def judged_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy with each ranking's heads, with Wilson intervals; other seeds and selections have their own tables."""
    special = (":", "+")
    lines = [line for line in lines if not _seed(line) and not any(mark in line["patch"] for mark in special)]
    lines = [line for line in lines if "-seed" not in line["ranking"]]
    rankings: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        rankings.setdefault((line["task"], line["patch"]), set()).add(line["ranking"])
    # a patch that one ranking was judged by compares none
    lines = [line for line in lines if not line["ranking"] or len(rankings[line["task"], line["patch"]]) > 1]
    tasks = list(dict.fromkeys(line["task"] for line in lines if line["ranking"]))
    return "\n\n".join(_judged(task, [line for line in lines if line["task"] == task]) for task in tasks)


def _judged(task: str, lines: Sequence[Mapping[str, Any]]) -> str:
    patches = list(dict.fromkeys(line["patch"] for line in lines if line["ranking"]))
    found = {(line["ranking"], line["patch"]): _accuracy(line["right"]) for line in lines}
    rankings = list(dict.fromkeys(line["ranking"] for line in lines if line["ranking"]))
    rows = [[ranking, *(found.get((ranking, patch), "") for patch in patches)] for ranking in rankings]
    return f"{task}, as it is: {found.get(('', 'none'), '')}\n\n{table(['heads ranked by', *patches], rows)}"


def _seed(line: Mapping[str, Any]) -> int:
    return int(line.get("document_seed", 0))  # older lines are all of the task's own documents


CELLS = {
    "as it is": ["none"],
    "picture hidden from the top 5 %": ["vision@0.05"],
    "picture hidden from the bottom 5 %": ["vision:bottom@0.05"],
    "picture hidden from as many others of the same layers": [
        "vision:layer_matched:0@0.05",
        "vision:layer_matched:1@0.05",
    ],
    "top 5 % zeroed": ["zero@0.05"],
    "bottom 5 % zeroed": ["zero:bottom@0.05"],
    "hybrid, no head full": ["hybrid:none"],
    "hybrid, top 5 % full": ["hybrid@0.05"],
    "hybrid, top 10 % full": ["hybrid@0.1"],
}
"""What the claims are about, and the patches whose questions are taken together."""


def seeds_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy over all pairs of an evaluation seed (a column) and a profile seed (the numbers in it).

    Cells that were not judged for all of them are left out.
    """
    found = {
        (_seed(line), line["ranking"], line["patch"]): line["right"]
        for line in lines
        if line["task"].endswith(REFERENCE)
    }
    seeds = sorted({seed for seed, _, _ in found})
    rankings = [f"{REFERENCE}{f'-seed{seed}' if seed else ''}:question:none" for seed in seeds]
    rows = []
    for name, patches in CELLS.items():
        pairs = [(seed, patch) for seed in seeds for patch in patches]
        whole = [tried for tried in (rankings, [""]) if all((s, way, p) in found for s, p in pairs for way in tried)]
        if not whole:
            continue
        columns = whole[0]
        shares = [[np.mean([found[seed, column, patch] for patch in patches]) for column in columns] for seed in seeds]
        all_of_them = np.array(shares)
        summary = [f"{all_of_them.mean():.2f}", f"{all_of_them.min():.2f}", f"{all_of_them.max():.2f}"]
        rows.append([name, *summary, *(" ".join(f"{share:.2f}" for share in row) for row in shares)])
    return table(["", "mean", "lowest", "highest", *(f"documents {seed}" for seed in seeds)], rows)


FORMS = {
    "pages": ("", "none"),
    **{way: ("", f"{way}:none") for way in ("cells", "breaks", "words", "text")},
}
MARKS = {
    "pages": FORMS["pages"],
    "breaks": FORMS["breaks"],
    "pages, hybrid": (f"{REFERENCE}:question:none", "hybrid@0.1"),
    "breaks, hybrid": (f"{REFERENCE}:question:none", "hybrid+breaks@0.1"),
}
"""Columns of ``forms_table``: ranking and patch."""


def forms_table(lines: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> str:
    """Accuracy of the same questions in several forms, over the seeds for which all were judged; then by seed."""
    found = {(line["task"], _seed(line), line["ranking"], line["patch"]): line["right"] for line in lines}
    rows = []
    for task, seeds in {line["task"]: sorted({_seed(other) for other in lines}) for line in lines}.items():
        whole = [seed for seed in seeds if all((task, seed, *column) in found for column in columns.values())]
        if whole:
            right = [np.array([found[task, seed, *column] for seed in whole]) for column in columns.values()]
            each = [" ".join(f"{share:.2f}" for share in hits.mean(1)) for hits in right]
            cells = [f"{_accuracy(hits.ravel())}: {shares}" for hits, shares in zip(right, each, strict=True)]
            rows.append([task.removeprefix("coreheads_smol_"), f"{right[0].size}", *cells])
    return table(["documents", "n", *columns], sorted(rows))


def _accuracy(right: Sequence[float] | npt.NDArray[np.float64]) -> str:
    hits = round(sum(right))
    low, high = binomtest(hits, len(right)).proportion_ci(method="wilson")
    return f"{hits / len(right):.2f} [{low:.2f}, {high:.2f}]"
