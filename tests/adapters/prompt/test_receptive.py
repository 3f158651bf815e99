"""Receptive spans against resizing itself: each source pixel alone, and what it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from coreheads.adapters.prompt.receptive import cells, interpolated, resized
from coreheads.adapters.prompt.token_map import grid
from coreheads.errors import UserError

SIDE = st.one_of(st.integers(1, 12), st.integers(1, 150))


@settings(max_examples=150)
@given(source=SIDE, target=SIDE, resample=st.sampled_from([1, 2, 3]))
def test_antialiased_resizing(source: int, target: int, resample: int) -> None:
    """Runs hold the pixels with weight and no others, as torch, or Pillow, resizes the identity matrix."""
    mode = {2: "bilinear", 3: "bicubic"}.get(resample)
    if mode is None:
        picture = Image.fromarray(np.eye(source, dtype=np.float32)).resize((source, target), Image.Resampling(resample))
        weights = torch.from_numpy(np.array(picture))
    else:
        identity = torch.eye(source, dtype=torch.float64)[None, None]
        weights = nn.functional.interpolate(identity, (target, source), mode=mode, antialias=True)[0, 0]
    rounding = 1e-7 if mode is None else 1e-14
    for runs, row in zip(resized(source, target, resample).tolist(), weights, strict=True):
        certain, possible = (set(torch.nonzero(row.abs() > least)[:, 0].tolist()) for least in (1e-5, rounding))
        assert certain <= {pixel for first, stop in runs for pixel in range(first, stop)} <= possible


@settings(max_examples=150)
@given(count=st.integers(1, 60), source=st.integers(1, 60))
def test_plain_interpolation(count: int, source: int) -> None:
    parts = np.stack([10 * np.arange(source), 10 * np.arange(source) + 4], axis=1)[:, None]
    identity = torch.eye(source, dtype=torch.float64)[None, None]
    weights = nn.functional.interpolate(identity, (count, source), mode="bilinear")[0, 0]
    for spans, row in zip(interpolated(parts, count).tolist(), weights, strict=True):
        wanted = [part for (part,), weight in zip(parts.tolist(), row.tolist(), strict=True) if weight > 1e-9]
        assert [span for span in spans if span[0] < span[1]] == wanted


def test_parts_that_touch_become_one() -> None:
    parts = np.array([[[0, 5]], [[4, 9]], [[9, 12]], [[20, 21]]])
    assert interpolated(parts, 2).tolist() == [[[0, 9], [0, 0]], [[9, 12], [20, 21]]]
    blind = np.array([[[0, 0]], [[3, 6]]])
    assert interpolated(blind, 1).tolist() == [[[3, 6]]]


def test_a_pixel_at_the_filters_zero_is_not_seen() -> None:
    """176 pixels to 112: output 32 lies exactly one stretched pixel from pixel 49, where the cubic filter is zero."""
    assert resized(176, 112, 3)[32].tolist() == [[48, 49], [50, 54]]
    assert cells(resized(176, 112, 3), np.array([32]), 8).tolist() == [[[48, 49], [50, 65]]]


def test_patches_over_padding_see_nothing() -> None:
    pixels = resized(6, 6, 3)
    assert cells(pixels, np.array([-4, -2, 0, 5, 6]), 4)[:, 0].tolist() == [[0, 0], [0, 2], [0, 4], [5, 6], [0, 0]]


def test_a_grid_with_blind_and_double_sighted_tokens() -> None:
    rows = np.array([[[0, 2], [0, 0]], [[4, 6], [8, 10]]])
    columns = np.array([[[0, 5]], [[5, 5]]])
    view = grid(rows, columns, 10, 10, separated=True)
    assert view.tokens == 6
    assert view.token.tolist() == [0, 3, 3]
    assert view.box.tolist() == [[0, 0, 0.5, 0.2], [0, 0.4, 0.5, 0.6], [0, 0.8, 0.5, 1.0]]
    twice = view.repeated(2)
    assert twice.patch.tolist() == [0] * 6 + [1] * 6
    assert twice.token.tolist() == [0, 3, 3, 6, 9, 9]


def test_a_filter_that_is_not_known() -> None:
    with pytest.raises(UserError, match=r"resample is 0, expected 1 \(Lanczos\)"):
        resized(4, 8, 0)
    assert resized(4, 4, 0)[:, 0].tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
