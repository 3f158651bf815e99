"""Which pixels each vision token sees, as boxes on the source pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class View:
    """What the tokens of one medium see, in the order of the tokens; views are joined by ``+``.

    Attributes:
        patch: LongTensor [v], the temporal patch of each token (0 for images).
        token: LongTensor [r], for each box the token that sees it. A token that sees two places apart has several
            boxes, one that only separates has none.
        box: Float64 [r, 4], x0 y0 x1 y1 normalised to the picture.
    """

    patch: Tensor
    token: Tensor
    box: Tensor

    @property
    def tokens(self) -> int:
        return len(self.patch)

    def __add__(self, other: View) -> View:
        return joined([self, other])

    def repeated(self, patches: int) -> View:
        """The same tokens once for each of the temporal patches 0 to ``patches`` - 1."""
        return View(
            torch.arange(patches).repeat_interleave(self.tokens),
            torch.cat([self.token + self.tokens * patch for patch in range(patches)]),
            self.box.repeat(patches, 1),
        )


@dataclass(frozen=True)
class TokenMap(View):
    """What the V vision tokens of a prompt see, in the order of ``Prompt.vision_tokens``, of which medium.

    Attributes:
        media: LongTensor [V], index into ``Prompt.media``; ``patch`` is an index into that medium's ``frames``.
    """

    media: Tensor

    @classmethod
    def join(cls, views: Sequence[View], media: Sequence[int]) -> TokenMap:
        """The map of a prompt that shows these views one after the other; ``media`` are their numbers."""
        whole = joined(views)
        counts = torch.tensor([view.tokens for view in views], dtype=torch.long)
        index = torch.repeat_interleave(torch.tensor(media, dtype=torch.long), counts)
        return cls(whole.patch, whole.token, whole.box, index)


def joined(views: Sequence[View]) -> View:
    """The tokens of all views, one view after the other."""
    if not views:
        return nothing()
    starts = accumulate((view.tokens for view in views[:-1]), initial=0)
    token = torch.cat([view.token + start for view, start in zip(views, starts, strict=True)])
    return View(torch.cat([view.patch for view in views]), token, torch.cat([view.box for view in views]))


def nothing(tokens: int = 0) -> View:
    """Tokens that see no pixel."""
    return View(torch.zeros(tokens).long(), torch.zeros(0).long(), torch.zeros(0, 4).double())


def grid(rows: NDArray[np.int64], columns: NDArray[np.int64], height: int, width: int, separated: bool = False) -> View:
    """Tokens of a grid, row by row, of which each sees its row's pixels in its column's pixels.

    Runs of source pixels, int [n, k, 2], that the rows and the columns see; the source picture's height and width in
    pixels; ``separated``: whether a token without pixels stands after every row.
    """
    shape = (*rows.shape[:2], *columns.shape[:2])
    across = len(columns) + separated
    index = np.arange(len(rows))[:, None, None, None] * across + np.arange(len(columns))[:, None]
    token = np.broadcast_to(index, shape)
    # exact quotients, so that a region given as pixel / size meets a pixel's edge without rounding
    top, bottom = (np.broadcast_to(rows[:, :, None, None, side] / height, shape) for side in (0, 1))
    left, right = (np.broadcast_to(columns[None, None, :, :, side] / width, shape) for side in (0, 1))
    seen = (bottom > top) & (right > left)
    box = np.stack([left[seen], top[seen], right[seen], bottom[seen]], axis=-1)
    tokens = len(rows) * across
    return View(torch.zeros(tokens).long(), torch.from_numpy(token[seen].copy()), torch.from_numpy(box))
