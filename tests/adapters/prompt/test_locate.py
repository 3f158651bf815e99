"""Which vision tokens a region touches: the rules, one by one. ``test_locate_oracle`` has the pixels' own say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from adapter_cases import image_part, picture, small_adapter, text_part, user, video, video_part

from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import UserError
from coreheads.regions import Region


def prompt() -> Prompt:
    """A 64 x 48 picture (4 x 3 tokens), 5 frames of 32 x 32 at 2 a second (3 pairs of 2 x 2), a 64 x 48 picture."""
    return small_adapter().prepare(
        user(
            text_part("#0"),
            image_part(picture(64, 48)),
            video_part(video(5, 32, 32, fps=2.0)),
            image_part(picture(64, 48, seed=1)),
            text_part("where is the red-star?"),
        )
    )


def located(*regions: Region) -> list[int]:
    """Indices into the vision tokens: 0 to 11 the first picture, 12 to 23 the video, 24 to 35 the last."""
    made = prompt()
    found = made.locate(regions)
    assert found.dtype == torch.long
    assert found.tolist() == sorted(set(found.tolist()))
    places: list[int] = torch.searchsorted(made.vision_tokens, found).tolist()
    return places


def test_whole_media() -> None:
    assert located(Region(0)) == list(range(12))
    assert located(Region(1)) == list(range(12, 24))
    assert located(Region(2)) == list(range(24, 36))
    assert located(Region(0), Region(2)) == [*range(12), *range(24, 36)]


@pytest.mark.parametrize(
    ("box", "tokens"),
    [
        ((0.0, 0.0, 0.25, 1 / 3), [0]),  # exactly one cell: touching its neighbours' edges is not overlap
        ((0.25, 1 / 3, 0.5, 2 / 3), [5]),
        ((16 / 64, 16 / 48, 32 / 64, 32 / 48), [5]),  # the same from pixels
        ((0.26, 0.34, 0.27, 0.35), [5]),
        ((0.24, 0.34, 0.26, 0.35), [4, 5]),
        ((0.26, 0.33, 0.27, 0.35), [1, 5]),
        ((0.9, 0.9, 1.0, 1.0), [11]),
        ((-3.0, -3.0, 0.01, 0.01), [0]),  # the part outside the picture touches nothing
        ((0.99, 0.99, 7.0, 7.0), [11]),
        ((0.25 - 1e-9, 1 / 3 - 1e-9, 0.5 + 1e-9, 2 / 3 + 1e-9), [5]),  # rounding is not overlap
        ((0.0, 0.4, 1.0, 0.5), [4, 5, 6, 7]),
    ],
)
def test_boxes(box: Any, tokens: list[int]) -> None:
    assert located(Region(0, box)) == tokens
    assert located(Region(2, box)) == [24 + token for token in tokens]


@pytest.mark.parametrize(
    ("start", "end", "pairs"),
    [
        (None, None, [0, 1, 2]),  # frames at 0, 0.5 | 1, 1.5 | 2, 2
        (0.0, 0.5, [0]),
        (0.5, 1.0, [0]),  # the end is not part of it
        (0.5, 1.01, [0, 1]),
        (1.5, 2.0, [1]),
        (1.5 + 1e-9, 2.0 + 1e-9, [1]),  # rounding moves nothing
        (1.6, None, [2]),
        (None, 0.1, [0]),
        (-5.0, 100.0, [0, 1, 2]),
    ],
)
def test_times(start: float | None, end: float | None, pairs: list[int]) -> None:
    expected = [12 + 4 * pair + cell for pair in pairs for cell in range(4)]
    assert located(Region(1, None, start, end)) == expected
    assert located(Region(1, (0.6, 0.1, 0.7, 0.2), start, end)) == [12 + 4 * pair + 1 for pair in pairs]


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        (Region(0, (0.2, 0.2, 0.2, 0.9)), "has no area"),
        (Region(0, (1.0, 0.2, 1.5, 0.9)), "lies outside the picture"),
        (Region(0, (-1.0, 0.2, 0.0, 0.9)), "lies outside the picture"),
        (Region(1, None, 0.6, 0.9), "no sampled frame from 0.6 to 0.9 s (nearest at 0.50, 1.00 s)"),
        (Region(1, None, 1.0, 1.0), "no sampled frame from 1.0 to 1.0 s"),
        (Region(1, None, 30.0, 40.0), "no sampled frame"),
        (Region(1, (0.0, 0.0, 0.0, 0.0), 0.0, 1.0), "has no area"),
    ],
)
def test_a_region_that_touches_nothing_says_why(region: Region, reason: str) -> None:
    made = prompt()
    found = made.locate([region])
    assert found.shape == (0,)
    assert found.dtype == torch.long
    assert reason in made.explain([region])
    assert made.explain([region]).startswith(f"media {region.media}: ")
    assert made.explain([region, Region(0)]) == ""


def test_no_regions() -> None:
    assert located() == []
    assert prompt().explain([]) == "no region was given"


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (Region(3), "media is 3, expected 0 to 2"),
        (Region(-1), "media is -1"),
        (Region(True), "media is True"),
        (Region(0, (0.5, 0.0, 0.4, 1.0)), "expected x0 <= x1"),
        (Region(0, (0.0, math.nan, 0.4, 1.0)), "expected four finite numbers"),
        (Region(0, (0.0, 0.0, 0.4)), "expected four finite numbers"),  # type: ignore[arg-type]
        (Region(1, None, 2.0, 1.0), "expected start <= end"),
        (Region(1, None, math.inf), "start is inf"),
        (Region(0, None, 0.0, 1.0), "media 0 is an image"),
    ],
)
def test_a_malformed_region_is_refused(region: Region, said: str) -> None:
    with pytest.raises(UserError) as caught:
        prompt().locate([region])
    assert said in str(caught.value)
    with pytest.raises(UserError):
        prompt().explain([region])


def test_a_prompt_without_media_has_no_regions() -> None:
    plain = small_adapter().prepare([{"role": "user", "content": "a"}])
    assert plain.locate([]).shape == (0,)
    with pytest.raises(UserError, match="the prompt has no image"):
        plain.locate([Region(0)])


def test_every_token_has_its_geometry() -> None:
    made = prompt()
    geometry = made.geometry
    assert geometry.media.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert geometry.patch.tolist() == [0] * 12 + [0] * 4 + [1] * 4 + [2] * 4 + [0] * 12
    assert geometry.box[5].tolist() == [0.25, 1 / 3, 0.5, 2 / 3]
    assert geometry.box[14].tolist() == [0.0, 0.5, 0.5, 1.0]
    assert made.media[1].frames == ((0, 1), (2, 3), (4, 4))
