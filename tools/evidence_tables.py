"""Statistics and tables of what ``evidence.py`` measured: `python tools/evidence_tables.py` prints them as Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from evidence_judged import FORMS, MARKS, REFERENCE, forms_table, judged_table, seeds_table, table

from coreheads.files import read_jsonl
from coreheads.heads.ranking import order
from coreheads.heads.selections import Scores, head_count

Array = npt.NDArray[np.floating[Any]]

FOLDER = Path(__file__).parent.parent / "results" / "smol" / "evidence"

QUERIES = ("name", "question", "beginning", "begun", "last", "last 4", "text")
CHOICES = [
    *((query, "none") for query in QUERIES),
    *((query, "vision") for query in ("name", "question", "begun", "last")),
    ("question", "lift"),
]
"""Asking tokens (``row_sets`` of evidence.py) and what RAM is divided by."""


@dataclass
class Measured:
    """Attention of every prompt of a set: ``mass[choice]`` [n, 2, layers, heads] on the target and on all vision."""

    records: list[str] = field(default_factory=list)
    mass: dict[str, Array] = field(default_factory=dict)
    sizes: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))
    """[n, 3]: tokens of the target, of vision, of the prompt."""
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, record: str, mass: Mapping[str, Array], sizes: tuple[int, int, int]) -> None:
        self.records.append(record)
        for name, values in mass.items():
            new = values[None].astype(np.float32)
            self.mass[name] = np.concatenate([self.mass[name], new]) if name in self.mass else new
        self.sizes = np.concatenate([self.sizes, np.array([sizes], np.int64)])

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".tmp")
        with half.open("wb") as file:
            np.savez_compressed(
                file,
                about=json.dumps(self.about),
                records=np.array(self.records),
                sizes=self.sizes,
                **{f"mass {name}": values for name, values in self.mass.items()},  # type: ignore[arg-type]
            )
        half.replace(path)

    @classmethod
    def load(cls, path: Path) -> Measured:
        with np.load(path) as file:
            mass = {name.removeprefix("mass "): file[name] for name in file.files if name.startswith("mass ")}
            return cls(file["records"].tolist(), mass, file["sizes"], json.loads(str(file["about"])))

    def scores(self, choice: str, normalization: str = "none") -> Array:
        """RAM [n, layers, heads] of each prompt."""
        target, vision = self.mass[choice][:, 0], self.mass[choice][:, 1]
        if normalization == "vision":
            return np.divide(target, vision, out=np.zeros_like(target), where=vision > 0)
        if normalization == "lift":
            return target * (self.sizes[:, 1] / self.sizes[:, 0])[:, None, None]
        return target


def mean_of(measured: Measured, choice: str, normalization: str = "none", first: int | None = None) -> Scores:
    """Mean scores [layers, heads] of the first prompts, as a profile has them."""
    mean: Scores = measured.scores(choice, normalization)[:first].mean(0, float)
    return mean


def scores_of(ranking: str, folder: Path = FOLDER) -> Scores:
    """Mean scores of a ranking, ``set:choice:normalization``, or with ``:8`` behind of its first 8 prompts."""
    name, choice, normalization, *first = ranking.split(":")
    return mean_of(Measured.load(folder / f"{name}.npz"), choice, normalization, int(first[0]) if first else None)


def concentration(mean: npt.ArrayLike, fraction: float) -> float:
    """Share of the sum of all heads' scores that the leading ones hold."""
    scores = np.sort(np.asarray(mean, float).ravel())[::-1]
    return float(scores[: head_count(fraction, scores.size)].sum() / scores.sum())


def overlap(first: npt.ArrayLike, second: npt.ArrayLike, fraction: float) -> float:
    """Share of the leading heads of one score that lead the other, too; of unrelated scores, ``fraction``."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    leading = head_count(fraction, a.size)
    return len(set(order(a)[:leading].tolist()) & set(order(b)[:leading].tolist())) / leading


def half_overlap(scores: npt.ArrayLike, half: int, fraction: float, splits: int = 100, seed: int = 0) -> float:
    """Mean ``overlap`` of the means of two disjoint random draws of ``half`` samples from ``scores`` [n, ...]."""
    samples = np.asarray(scores, float)
    if 2 * half > len(samples):
        raise ValueError(f"two halves of {half} from {len(samples)} samples")
    rng = np.random.default_rng(seed)
    drawn = (rng.permutation(len(samples))[: 2 * half] for _ in range(splits))
    return float(np.mean([overlap(samples[d[:half]].mean(0), samples[d[half:]].mean(0), fraction) for d in drawn]))


def depths(mean: npt.ArrayLike, fraction: float) -> Array:
    """Relative depth, 0 (first layer) to 1 (last), of the leading heads, ascending."""
    scores = np.asarray(mean, float)
    layers, heads = scores.shape
    return np.sort(order(scores)[: head_count(fraction, scores.size)] // heads / (layers - 1))


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def concentration_table(sets: Mapping[str, Measured]) -> str:
    """What the leading heads hold, and where they lie."""
    rows = []
    for name, measured in sets.items():
        for choice, normalization in CHOICES if name == REFERENCE else [("question", "none")]:
            mean = mean_of(measured, choice, normalization)
            deep = depths(mean, 0.05)
            shares = [percent(concentration(mean, fraction)) for fraction in (0.025, 0.05, 0.1)]
            low, middle, high = (f"{np.quantile(deep, q):.2f}" for q in (0, 0.5, 1))
            size = f"{len(measured.records)}"
            rows.append([name, choice, normalization, size, *shares, f"{mean.max():.2f}", f"{low} {middle} {high}"])
    head = ["documents", "asking tokens", "divided by", "n", "top 2.5 %", "5 %", "10 %", "largest", "depth of top 5 %"]
    return table(head, rows)


def reliability_table(sets: Mapping[str, Measured]) -> str:
    """Overlap of two halves, by the samples of each; all document seeds together."""
    seeds = [measured for name, measured in sets.items() if name.startswith(REFERENCE)]
    total = sum(len(measured.records) for measured in seeds)
    halves = [half for half in (4, 8, 16, 24, 48) if 2 * half <= total]
    rows = []
    for choice, normalization in CHOICES:
        scores = np.concatenate([measured.scores(choice, normalization) for measured in seeds])
        cells = [[half_overlap(scores, half, fraction) for fraction in (0.05, 0.1)] for half in halves]
        rows.append([choice, normalization, *(f"{five:.2f} {ten:.2f}" for five, ten in cells)])
    return table(["asking tokens", "divided by", *(f"{half} a half" for half in halves)], rows)


def agreement_table(sets: Mapping[str, Measured]) -> str:
    """Which leading heads the choices share, of one set."""
    means = {choice: mean_of(sets[REFERENCE], *choice) for choice in CHOICES}
    columns = [choice for choice in CHOICES if choice[1] == "none"]
    rows = [
        [*choice, *(" ".join(f"{overlap(mean, means[other], f):.2f}" for f in (0.05, 0.1)) for other in columns)]
        for choice, mean in means.items()
    ]
    return table(["asking tokens", "divided by", *(choice for choice, _ in columns)], rows)


def sets_table(sets: Mapping[str, Measured]) -> str:
    """Leading heads that lengths, tasks and document seeds share; the diagonal is two halves of one set."""
    rows = []
    for name, measured in sets.items():
        row = []
        for other in sets.values():
            half = len(measured.records) // 2
            shared = (
                [half_overlap(measured.scores("question"), half, fraction) for fraction in (0.05, 0.1)]
                if other is measured
                else [overlap(mean_of(measured, "question"), mean_of(other, "question"), f) for f in (0.05, 0.1)]
            )
            row.append(" ".join(f"{value:.2f}" for value in shared))
        rows.append([f"{name} (n {len(measured.records)}, {round(measured.sizes[:, 2].mean())} tokens)", *row])
    return table(["", *sets], rows)


def main() -> int:
    found = [(path.stem, Measured.load(path)) for path in FOLDER.glob("*.npz")]
    sets = dict(sorted(found, key=lambda entry: (round(entry[1].sizes[:, 2].mean(), -2), entry[0])))
    judged = FOLDER / "judged.jsonl"
    lines = list(read_jsonl(judged)) if judged.exists() else []
    for title, written in {
        "How concentrated, and where": concentration_table(sets),
        "Two halves of the samples: overlap of the top 5 % and 10 %": reliability_table(sets),
        "Choices: overlap of the top 5 % and 10 %": agreement_table(sets),
        "Documents: overlap of the top 5 % and 10 % by the question": sets_table(sets),
        "Judged on the test split": judged_table(lines),
        "Across seeds": seeds_table(lines),
        "Pages and text": forms_table(lines, FORMS),
        "Pages and line breaks, 10 % of heads full": forms_table(lines, MARKS),
    }.items():
        print(f"### {title}\n\n{written}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
