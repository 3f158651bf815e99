"""Ground truth in media coordinates: which image, page or video, which part of it, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from coreheads.errors import UserError

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """A part of one medium of a prompt.

    Attributes:
        media: Index over the images, pages and videos of the prompt, in prompt order, from 0.
        box: (x0, y0, x1, y1), normalised to 0 to 1, origin top left; None is the whole picture.
        start: Seconds of the source video; None is from its beginning. Images have none.
        end: Seconds of the source video, excluded; None is to its end. Images have none.
    """

    media: int = 0
    box: Box | None = None
    start: float | None = None
    end: float | None = None

    def check(self, media_count: int) -> None:
        """Raise UserError when the region is malformed (not when it merely touches nothing)."""
        if isinstance(self.media, bool) or not isinstance(self.media, Integral) or not 0 <= self.media < media_count:
            raise UserError(f"{self}: media is {self.media!r}, expected 0 to {media_count - 1}")
        if self.box is not None:
            if not isinstance(self.box, Sequence) or len(self.box) != 4 or not all(map(_finite, self.box)):
                raise UserError(f"{self}: box is {self.box!r}, expected four finite numbers x0, y0, x1, y1")
            x0, y0, x1, y1 = self.box
            if x0 > x1 or y0 > y1:
                raise UserError(f"{self}: box is {self.box!r}, expected x0 <= x1 and y0 <= y1")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not _finite(value):
                raise UserError(f"{self}: {name} is {value!r}, expected a finite number of seconds")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise UserError(f"{self}: start is {self.start} and end is {self.end}, expected start <= end")


def _finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
