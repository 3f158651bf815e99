"""Boxes of whole pixels for hypothesis, and the pixels they cover."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

few = settings(max_examples=50)


@st.composite
def boxes(draw: st.DrawFn, side: int = 12) -> tuple[int, int, int, int]:
    x0, x1 = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    y0, y1 = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    return x0, y0, x1, y1


def pixels(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}
