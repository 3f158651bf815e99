"""What the synthetic world is drawn with: 16 x 16 pixel glyphs, one a cell.

A cell's *kind* is one number: 0 is blank; then come the small objects, the digits, the quarters of the big objects
and the printed stamps, at the offsets below. Object n is ``NAMES[n]`` of the embedded model's vocabulary:
colour ``n // 8``, shape ``n % 8``.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = 16
"""Pixels along one side of a cell."""

OBJECTS, DIGITS, STAMPS = 64, 10, 32
SMALL = 1
DIGIT = SMALL + OBJECTS
BIG = DIGIT + DIGITS
STAMP = BIG + 4 * OBJECTS
KINDS = STAMP + STAMPS

COLOUR_RGB = (
    (220, 40, 40), (40, 190, 60), (60, 90, 240), (235, 220, 50),
    (225, 60, 220), (50, 215, 225), (245, 140, 30), (240, 240, 240),
)  # fmt: skip
INK = (10, 10, 10)


def small(name: int) -> int:
    return SMALL + name


def digit(value: int) -> int:
    return DIGIT + value


def big(name: int, quarter: int) -> int:
    """The quarter (0 top left, 1 top right, 2 bottom left, 3 bottom right) of an object of 2 x 2 cells."""
    return BIG + 4 * name + quarter


def stamp(number: int) -> int:
    return STAMP + number


@lru_cache(maxsize=1)
def glyphs() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(coverage [KINDS, CELL, CELL] in 0..1, colour [KINDS, 3] in 0..255)."""
    coverage = np.zeros((KINDS, CELL, CELL), np.float32)
    colour = np.zeros((KINDS, 3), np.float32)
    for name in range(OBJECTS):
        shape = name % 8
        coverage[small(name)] = _shrink(_shape(shape, 64), CELL)
        large = _shrink(_shape(shape, 128), 2 * CELL)
        for quarter in range(4):
            row, column = divmod(quarter, 2)
            coverage[big(name, quarter)] = large[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            colour[big(name, quarter)] = COLOUR_RGB[name // 8]
        colour[small(name)] = COLOUR_RGB[name // 8]
    for value in range(DIGITS):
        coverage[digit(value)] = _shrink(_text(str(value)), CELL)
        colour[digit(value)] = INK
    for number in range(STAMPS):
        # two narrow digits in one cell
        halves = [_text(figure)[:, 12:52] for figure in f"{number:02d}"]
        narrow = [np.asarray(Image.fromarray(half).resize((CELL // 2, CELL), Image.Resampling.BOX)) for half in halves]
        coverage[stamp(number)] = np.concatenate(narrow, axis=1).astype(np.float32) / np.float32(255)
        colour[stamp(number)] = INK
    return coverage, colour


def _shrink(drawing: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    shrunk = Image.fromarray(drawing).resize((size, size), Image.Resampling.BOX)
    return np.asarray(shrunk, np.float32) / np.float32(255)


def _text(text: str, size: int = 64) -> NDArray[np.uint8]:
    canvas = Image.new("L", (size, size), 0)
    ImageDraw.Draw(canvas).text((size / 2, size / 2), text, fill=255, font=ImageFont.load_default(size=60), anchor="mm")
    return np.asarray(canvas)


def _shape(shape: int, size: int) -> NDArray[np.uint8]:
    """circle, square, triangle, star, cross, diamond, ring, bar."""
    canvas = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(canvas)
    low, high, middle = 6, size - 7, (size - 1) / 2
    if shape == 0:
        draw.ellipse((low, low, high, high), fill=255)
    elif shape == 1:
        draw.rectangle((low + 3, low + 3, high - 3, high - 3), fill=255)
    elif shape == 2:
        draw.polygon([(middle, low), (high, high), (low, high)], fill=255)
    elif shape == 3:
        draw.polygon(
            [
                (
                    middle + (size / 2 - 3) * (1 if tip % 2 == 0 else 0.4) * math.cos(math.pi * (tip / 5 - 0.5)),
                    middle + (size / 2 - 3) * (1 if tip % 2 == 0 else 0.4) * math.sin(math.pi * (tip / 5 - 0.5)),
                )
                for tip in range(10)
            ],
            fill=255,
        )
    elif shape == 4:
        arm = size // 8
        draw.rectangle((middle - arm, low, middle + arm, high), fill=255)
        draw.rectangle((low, middle - arm, high, middle + arm), fill=255)
    elif shape == 5:
        draw.polygon([(middle, low - 3), (high + 3, middle), (middle, high + 3), (low - 3, middle)], fill=255)
    elif shape == 6:
        hole = size * 3 // 16
        draw.ellipse((low, low, high, high), fill=255)
        draw.ellipse((low + hole, low + hole, high - hole, high - hole), fill=0)
    else:
        thick = size // 5
        draw.rectangle((low, low + 2, high, low + 2 + thick), fill=255)
        draw.rectangle((low, high - 2 - thick, high, high - 2), fill=255)
    return np.asarray(canvas)
