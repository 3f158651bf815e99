"""Words as pictures: one word a square cell of 32 pixels, 12 x 12 cells a page, from a committed sheet of glyphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from coreheads.errors import UserError
from coreheads.media.images import decode
from coreheads.regions import Region
from coreheads.tasks.smol.world import Document, Fact, words_of

CELL = 32
"""Pixels of a cell's side."""

SIDE = 12
"""Cells of a page's side."""

FONTS = ("sans", "serif", "narrow", "unseen")
"""The sheets, one below the other; the tower was trained on the first three."""

COLUMNS = 64
"""Of a sheet."""

_FOLDER = Path(__file__).parent
Grey: TypeAlias = NDArray[np.uint8]


@cache
def words() -> tuple[str, ...]:
    """The words that can be printed, in the order of the sheets: a word means the token that begins with its blank,
    a digit or a mark the token without one."""
    return tuple((_FOLDER / "words.txt").read_text(encoding="utf-8").split())


@cache
def glyphs(font: str) -> Grey:
    """[words, 32, 32], ink 1 and paper 0."""
    sheet = _FOLDER / "glyphs.png"
    ink = np.asarray(decode(sheet.read_bytes(), str(sheet)))[:, :, 0] < 128
    count = len(words())
    rows = -(-count // COLUMNS)
    one = ink[FONTS.index(font) * rows * CELL :][: rows * CELL]
    cells = one.reshape(rows, CELL, COLUMNS, CELL).swapaxes(1, 2).reshape(-1, CELL, CELL)
    return np.ascontiguousarray(cells[:count]).astype(np.uint8)


@cache
def _places() -> dict[str, int]:
    return {word: place for place, word in enumerate(words())}


def page(printed: Sequence[str], font: str = "sans") -> Grey:
    """Up to 144 words as a picture [384, 384, 3], black on white, row by row. UserError for a word without a glyph."""
    sheet, places = glyphs(font), _places()
    picture = np.zeros((SIDE, CELL, SIDE, CELL), np.uint8)
    for cell, word in enumerate(printed):
        if word not in places:
            raise UserError(f"word: {word!r} has no glyph, expected one of tasks/smol/words.txt")
        picture[cell // SIDE, :, cell % SIDE, :] = sheet[places[word]]
    flat = picture.reshape(SIDE * CELL, SIDE * CELL)
    return np.repeat(((1 - flat) * 255)[:, :, None], 3, axis=2)


def print_document(document: Document, font: str = "sans") -> tuple[list[Grey], dict[Fact, list[Region]]]:
    """A document's pages, and where each fact stands: a box a line that it takes. The text runs on over the pages."""
    printed: list[str] = []
    where: dict[Fact, list[Region]] = {}
    for sentence, fact in document.sentences:
        said, first = words_of(sentence), len(printed)
        printed += said
        if fact is not None:
            rows = range(first // SIDE, (len(printed) - 1) // SIDE + 1)
            where[fact] = [_line(row, first, len(printed)) for row in rows]
    whole = SIDE * SIDE
    return [page(printed[at : at + whole], font) for at in range(0, len(printed), whole)], where


def _line(row: int, first: int, end: int) -> Region:
    """The words ``first`` to ``end`` that stand in a row, rows counted over all pages."""
    left, right = max(first - row * SIDE, 0), min(end - row * SIDE, SIDE)
    number, line = divmod(row, SIDE)
    return Region(media=number, box=(left / SIDE, line / SIDE, right / SIDE, (line + 1) / SIDE))
