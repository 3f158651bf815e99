"""RefCOCOg's score against hand-computed cases, and what must hold for any answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from box_cases import boxes, few, pixels
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.refcocog import scoring as refcocog
from coreheads.tasks.scoring.families import written


def test_half_is_enough() -> None:
    # the upper half of a 100 x 100 image: IoU exactly 0.5
    assert refcocog.score("[0, 0, 1000, 500]", (0, 0, 100, 100), (100, 100), "qwen") == {"iou": 0.5, "acc_0.5": 1.0}
    assert refcocog.score("[0, 0, 1000, 499]", (0, 0, 100, 100), (100, 100), "qwen")["acc_0.5"] == 0.0


def test_pixel_answers_are_not_rescued() -> None:
    right_in_pixels = "[334.72, 298.08, 522.88, 450.24]"
    assert refcocog.score(right_in_pixels, (334.72, 298.08, 522.88, 450.24), (640, 480), "qwen")["acc_0.5"] == 0.0


@few
@given(boxes(), st.sampled_from(["qwen", "internvl", "llava"]))
def test_a_box_scores_one_against_itself(box: Any, family: str) -> None:
    if not pixels(box):
        return
    said = str(written([edge / 12 for edge in box], family))
    if family == "internvl" and sum(json.loads(said)) < 4:
        return
    found = refcocog.score(said, box, (12, 12), family)
    assert found["iou"] == pytest.approx(1.0, abs=0.02)
    assert found["acc_0.5"] == 1.0


@pytest.mark.parametrize("response", ["no idea", "", "[1, 2]", "[[a, b, c, d]]", "\x00" * 100])
def test_what_cannot_be_read_is_wrong(response: str) -> None:
    assert refcocog.score(response, (0, 0, 10, 10), (10, 10), "qwen") == {"iou": 0.0, "acc_0.5": 0.0}


def test_inside_out_boxes_are_wrong() -> None:
    assert refcocog.score("[1000, 1000, 0, 0]", (0, 0, 10, 10), (10, 10), "qwen")["iou"] == 0.0
