"""``locate`` against the pixels, for every family and every form of media; see ``locate_oracle`` for how."""

from __future__ import annotations

import pytest
from family_cases import FAMILIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locate_oracle import Case, Shown, cases, check


def draws(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("model_type", FAMILIES)
@draws(100)
@given(st.data())
def test_small_tiles(model_type: str, data: st.DataObject) -> None:
    check(model_type, data.draw(cases(model_type, largest=260)))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", FAMILIES)
@draws(2000)
@given(st.data())
def test_many_small_tiles(model_type: str, data: st.DataObject) -> None:
    check(model_type, data.draw(cases(model_type, largest=260)))


@pytest.mark.parametrize("model_type", FAMILIES)
@draws(10)
@given(st.data())
def test_published_settings(model_type: str, data: st.DataObject) -> None:
    check(model_type, data.draw(cases(model_type, largest=4000, media=2)), published=True)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", FAMILIES)
@draws(100)
@given(st.data())
def test_many_published_settings(model_type: str, data: st.DataObject) -> None:
    check(model_type, data.draw(cases(model_type, largest=4000, media=2)), published=True)


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize(
    "shown",
    [
        Shown(1, 200, ((0, 50, 1, 51),)),
        Shown(1000, 5, ((999.5, 0, 1000, 5),)),
        Shown(4000, 3000, ((1999, 1499, 2001, 1501), (0, 0, 0.25, 0.25))),
        Shown(640, 480, ((100.5, 200.25, 300, 300),)),
        Shown(384, 384, ((378, 378, 384, 384),)),
        Shown(770, 1160, ((379, 379, 383, 383),)),
        Shown(1920, 1080, ((960, 540, 961, 541),), frames=3, span=(0.4, 0.9)),
    ],
    ids=lambda shown: f"{shown.width}x{shown.height}x{shown.frames}",
)
def test_sizes_that_matter(model_type: str, shown: Shown) -> None:
    """Thin, large, as it is, blind strips of tiles, and a video, in the published settings."""
    check(model_type, Case((shown,)), published=True)


def test_a_pixel_without_weight_between_pixels_with_weight() -> None:
    """Bicubic resizing of 176 pixels to 112 gives pixel 49 no weight in the first pixel of the fifth token."""
    check("qwen3_vl", Case((Shown(176, 4, ((49, 0, 49.25, 0.25),)),)))
