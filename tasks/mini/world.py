"""The synthetic world under the embedded model's training and under the mini benchmarks.

A scene is one or more pictures (an image, the pages of a document, or one picture for each second of a video), each
a grid of cells of 16 x 16 pixels. It holds *things*: coloured shapes whose name occurs once in the scene, some 2 x 2
cells big, most of the small ones with a digit printed in the cell to their right. Around them stand
distractors: up to eight other objects, repeated. Stamped pictures carry their number in the top left cell: a page
number, or the second of the video. Everything a question can ask for can be read off the pictures alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreheads.regions import Box
from coreheads.tasks.mini import sprites

CELL = sprites.CELL
DISTRACTORS = 8
MOST_THINGS = sprites.OBJECTS - DISTRACTORS


@dataclass(frozen=True)
class Thing:
    """An object whose name occurs once: its picture, its top left cell, its size in cells, the digit beside it."""

    name: int
    picture: int
    row: int
    column: int
    size: int = 1
    digit: int | None = None

    @property
    def pixels(self) -> tuple[int, int, int]:
        """(left, top, side) of it in its picture."""
        return self.column * CELL, self.row * CELL, self.size * CELL

    def cells(self) -> list[tuple[int, int, int]]:
        """(picture, row, column) of every cell that shows it, its digit left out."""
        span = range(self.size)
        return [(self.picture, self.row + down, self.column + right) for down in span for right in span]


@dataclass(frozen=True)
class Scene:
    """kinds: int16 [pictures, rows, columns], see ``sprites``; stamps: the number printed in each picture, if any."""

    kinds: NDArray[np.int16]
    things: tuple[Thing, ...]
    stamps: tuple[int, ...] = ()

    @property
    def pictures(self) -> int:
        return int(self.kinds.shape[0])

    @property
    def rows(self) -> int:
        return int(self.kinds.shape[1])

    @property
    def columns(self) -> int:
        return int(self.kinds.shape[2])

    def box(self, thing: Thing) -> Box:
        """Normalised x0, y0, x1, y1 of the thing in its picture."""
        return (
            thing.column / self.columns,
            thing.row / self.rows,
            (thing.column + thing.size) / self.columns,
            (thing.row + thing.size) / self.rows,
        )


def make_scene(
    rng: np.random.Generator,
    pictures: int,
    rows: int,
    columns: int,
    things: int,
    *,
    stamped: bool,
    shuffled: bool = False,
    big: float = 0.1,
    digits: float = 0.8,
    fill: float = 0.3,
) -> Scene:
    """Draw a scene.

    things: how many to place (fewer where no room is found); stamped: pictures carry 0, 1, 2, ... or, if shuffled,
    different numbers in any order; big: share of 2 x 2 things; digits: share of small
    things with a digit; fill: share of the free cells that hold a distractor.
    """
    if stamped and pictures > sprites.STAMPS:
        raise ValueError(f"{pictures} pictures, but stamps reach only to {sprites.STAMPS - 1}")
    kinds = np.zeros((pictures, rows, columns), np.int16)
    taken = np.zeros(kinds.shape, bool)
    stamps: tuple[int, ...] = ()
    if stamped:
        stamps = tuple(map(int, rng.permutation(sprites.STAMPS)[:pictures])) if shuffled else tuple(range(pictures))
        kinds[:, 0, 0] = [sprites.stamp(number) for number in stamps]
        taken[:, 0, 0] = True
    names = rng.permutation(sprites.OBJECTS)
    placed = []
    for name in names[: min(things, MOST_THINGS)]:
        thing = _place(rng, taken, int(name), big, digits)
        if thing is not None:
            placed.append(thing)
            _paint(kinds, thing)
    free = ~taken & (rng.random(kinds.shape) < fill)
    others = names[MOST_THINGS:]
    kinds[free] = sprites.SMALL + others[rng.integers(len(others), size=int(free.sum()))]
    return Scene(kinds, tuple(placed), stamps)


def _place(rng: np.random.Generator, taken: NDArray[np.bool_], name: int, big: float, digits: float) -> Thing | None:
    pictures, rows, columns = taken.shape
    size = 2 if rng.random() < big else 1
    labelled = size == 1 and rng.random() < digits
    height, width = size, 2 if labelled else size
    for _ in range(12):
        picture = int(rng.integers(pictures))
        row = int(rng.integers(rows - height + 1))
        column = int(rng.integers(columns - width + 1))
        spot = taken[picture, row : row + height, column : column + width]
        if not spot.any():
            spot[:] = True
            return Thing(name, picture, row, column, size, int(rng.integers(10)) if labelled else None)
    return None


def _paint(kinds: NDArray[np.int16], thing: Thing) -> None:
    page = kinds[thing.picture]
    if thing.size == 2:
        for quarter in range(4):
            page[thing.row + quarter // 2, thing.column + quarter % 2] = sprites.big(thing.name, quarter)
        return
    page[thing.row, thing.column] = sprites.small(thing.name)
    if thing.digit is not None:
        page[thing.row, thing.column + 1] = sprites.digit(thing.digit)


def render(kinds: NDArray[np.int16], rng: np.random.Generator, noise: float = 6.0) -> NDArray[np.uint8]:
    """Pictures of a scene: uint8 [pictures, rows * CELL, columns * CELL, 3].

    Backgrounds are dark and differ a little in tint from picture to picture, objects differ a little in brightness,
    and every pixel carries Gaussian noise of standard deviation ``noise`` (of 255).
    """
    coverage, colour = sprites.glyphs()
    pictures, rows, columns = kinds.shape
    flat = kinds.reshape(-1)
    tint = rng.uniform(32, 96, (pictures, 1)) + rng.uniform(-10, 10, (pictures, 3))
    ground = np.repeat(tint.astype(np.float32), rows * columns, axis=0)
    ground[(flat >= sprites.DIGIT) & (flat < sprites.BIG)] = 230.0
    ground[flat >= sprites.STAMP] = (242.0, 230.0, 38.0)
    front = colour[flat] * rng.uniform(0.85, 1.0, (len(flat), 1)).astype(np.float32)
    alpha = coverage[flat][..., None]
    cells = alpha * front[:, None, None] + (1 - alpha) * ground[:, None, None]
    if noise > 0:
        cells += noise * rng.standard_normal(cells.shape, np.float32)
    cells = cells.reshape(pictures, rows, columns, CELL, CELL, 3).swapaxes(2, 3)
    image: NDArray[np.uint8] = np.clip(np.rint(cells), 0, 255).astype(np.uint8)
    return image.reshape(pictures, rows * CELL, columns * CELL, 3)


def position_in_tokens(scene: Scene, thing: Thing) -> int:
    """How many vision tokens of the scene come after the last cell of the thing, in reading order."""
    picture, row, column = max(thing.cells())
    index = (picture * scene.rows + row) * scene.columns + column
    return scene.kinds.size - 1 - index


def askable(scene: Scene, *, digit: bool = False, beyond: int = 0, before: int = 0) -> Sequence[Thing]:
    """Things to ask about: with a digit if ``digit``; every cell more than ``beyond`` vision tokens from the end and
    at least ``before`` from the beginning, so that neither a window nor sinks reach it."""
    found = []
    for thing in scene.things:
        picture, row, column = min(thing.cells())
        first = (picture * scene.rows + row) * scene.columns + column
        if (not digit or thing.digit is not None) and position_in_tokens(scene, thing) >= beyond and first >= before:
            found.append(thing)
    return found
