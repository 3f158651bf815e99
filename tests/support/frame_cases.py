"""Prompts without a model for methods that go by frames: media of some sizes, and their vision tokens' states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.prompt.prompt import Medium, Prompt
from coreheads.adapters.prompt.token_map import TokenMap, View, nothing

WIDTH = 12


@dataclass(frozen=True)
class Shown:
    """A medium of a prompt.

    Attributes:
        frames: Of a video; 0 is a picture.
        tokens: A frame has.
        newline: Whether a video has one more behind its last frame.
    """

    frames: int
    tokens: int
    newline: bool = False

    @property
    def sizes(self) -> list[int]:
        sizes = [self.tokens] * max(1, self.frames)
        return [*sizes[:-1], sizes[-1] + (self.newline and self.frames > 0)]


media = st.lists(
    st.builds(Shown, st.sampled_from([0, 0, 1, 2, 3, 5]), st.sampled_from([1, 2, 4, 4, 7]), st.booleans()),
    min_size=1,
    max_size=4,
)


def clips(shown: list[Shown]) -> list[list[list[int]]]:
    """Numbers of the vision tokens by clip and frame."""
    found: list[list[list[int]]] = []
    start, before = 0, None
    for medium in shown:
        frames = []
        for size in medium.sizes:
            frames.append(list(range(start, start + size)))
            start += size
        page = None if medium.frames else medium.tokens
        if page is not None and page == before:
            found[-1] += frames
        else:
            found.append(frames)
        before = page
    return found


def hidden_states(tokens: int, seed: int, kind: str) -> Tensor:
    """``normal``; ``still``: few different rows; ``axes``: rows along the axes, of any length; ``zeros``."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "zeros":
        return torch.zeros(tokens, WIDTH)
    if kind == "axes":
        rows = torch.eye(WIDTH)[torch.randint(3, (tokens,), generator=generator)]
        return rows * 2.0 ** torch.randint(-2, 3, (tokens, 1), generator=generator)
    rows = torch.randn(tokens, WIDTH, generator=generator)
    return rows[torch.randint(3, (tokens,), generator=generator)] if kind == "still" else rows


def cut_of(shown: list[Shown], seed: int = 0, kind: str = "normal") -> Cut:
    """Two text tokens before each frame and three at the end, but none before a newline."""
    views, sizes, listed = [], [], []
    for medium in shown:
        view = View(torch.zeros(medium.tokens).long(), torch.zeros(0).long(), torch.zeros(0, 4).double())
        view = view.repeated(max(1, medium.frames))
        if len(medium.sizes) and sum(medium.sizes) > view.tokens:
            view += nothing(1)
            view.patch[-1] = medium.frames - 1
        views.append(view)
        sizes += medium.sizes
        listed.append(Medium("video" if medium.frames else "image", "", 4 * medium.tokens, 8))
    is_vision = torch.tensor([flag for size in sizes for flag in [False, False, *[True] * size]] + [False] * 3)
    hidden = hidden_states(len(is_vision), seed, kind)
    geometry = TokenMap.join(views, range(len(views)))
    inputs: dict[str, Any] = {"input_ids": torch.zeros(1, len(is_vision)).long()}
    prompt = Prompt(inputs, torch.zeros(0).long(), is_vision.nonzero()[:, 0], listed, geometry, "")
    return Cut(0, hidden, torch.arange(len(hidden)), torch.arange(len(hidden)) + seed, is_vision, prompt=prompt)
