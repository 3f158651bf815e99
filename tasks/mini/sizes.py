"""How much mini data there is, and where its random numbers come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coreheads.tasks.mini.world import Scene, Thing, askable

GENERATOR = 1
"""Raise it when the data changes for a reason that the sources' hash does not see."""

SEED = 20260605
"""First word of every generator's entropy. Training uses seeds below 1000, so no scene can be a training scene."""

BENCHMARKS = ("refcocog", "vidstg", "mmdocir", "mmlongbench_doc", "mlvu")
SPLITS = ("profile", "test")

BEFORE, BEYOND = 8, 96
"""Vision tokens that lie before and after every asked thing: more than 4 sinks and a window of 64 reach."""


@dataclass(frozen=True)
class Sizes:
    """(profile, test) questions of each benchmark."""

    refcocog: tuple[int, int] = (64, 128)
    vidstg: tuple[int, int] = (64, 128)
    mmdocir: tuple[int, int] = (64, 128)
    mmlongbench_doc: tuple[int, int] = (48, 64)
    mlvu: tuple[int, int] = (64, 128)

    def questions(self, benchmark: str, split: str) -> int:
        counts: tuple[int, int] = getattr(self, benchmark)
        return counts[SPLITS.index(split)]


def generator(benchmark: str, split: str, index: int) -> np.random.Generator:
    """The random numbers of one scene; different for every benchmark, split and index."""
    return np.random.default_rng([SEED, 1 + BENCHMARKS.index(benchmark), 1 + SPLITS.index(split), index])


def candidates(scene: Scene, rng: np.random.Generator, *, digit: bool = False) -> list[Thing]:
    """The things that may be asked for, in random order: out of reach of sinks and window."""
    things = askable(scene, digit=digit, beyond=BEYOND, before=BEFORE)
    return [things[index] for index in rng.permutation(len(things))]


def balanced(things: Sequence[Thing], count: int, seen: Counter[int], key: str) -> list[Thing]:
    """Up to ``count`` things whose ``key`` (digit or picture) has been the answer least often so far.

    ``seen`` counts answers and is brought up to date.
    """
    left = list(things)
    chosen: list[Thing] = []
    while left and len(chosen) < count:
        best = min(left, key=lambda thing: seen[getattr(thing, key)])
        left.remove(best)
        chosen.append(best)
        seen[getattr(best, key)] += 1
    return chosen
