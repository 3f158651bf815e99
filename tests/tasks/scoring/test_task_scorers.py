"""Scorers against hand-computed cases, other ways to compute the same, and what must hold for any input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.errors import UserError
from coreheads.tasks.mmdocir import scoring as mmdocir
from coreheads.tasks.refcocog import scoring as refcocog
from coreheads.tasks.scoring.boxes import iou, read_box
from coreheads.tasks.scoring.families import written
from coreheads.tasks.vidstg import scoring as vidstg
from coreheads.tasks.vidstg.scoring import sampled_frames

few = settings(max_examples=50)


@st.composite
def boxes(draw: st.DrawFn, side: int = 12) -> tuple[int, int, int, int]:
    x0, x1 = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    y0, y1 = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    return x0, y0, x1, y1


def pixels(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


# ---- boxes


@few
@given(boxes(), boxes())
def test_iou_counts_pixels(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> None:
    either = pixels(a) | pixels(b)
    expected = len(pixels(a) & pixels(b)) / len(either) if either else 0.0
    assert iou(a, b) == pytest.approx(expected)
    assert iou(a, b) == iou(b, a)


# ---- RefCOCOg


def test_half_is_enough() -> None:
    # the upper half of a 100 x 100 image: IoU exactly 0.5
    assert refcocog.score("[0, 0, 1000, 500]", (0, 0, 100, 100), (100, 100), "qwen") == {"iou": 0.5, "acc_0.5": 1.0}
    assert refcocog.score("[0, 0, 1000, 499]", (0, 0, 100, 100), (100, 100), "qwen")["acc_0.5"] == 0.0


def test_pixel_answers_are_not_rescued() -> None:
    right_in_pixels = "[334.72, 298.08, 522.88, 450.24]"
    assert refcocog.score(right_in_pixels, (334.72, 298.08, 522.88, 450.24), (640, 480), "qwen")["acc_0.5"] == 0.0


@pytest.mark.parametrize("family", ["qwen", "internvl", "llava"])
@few
@given(box=boxes(1000))
def test_what_a_family_writes_is_read_back(family: str, box: Any) -> None:
    part = [edge / 1000 for edge in box]
    numbers = written(part, family)
    if family == "internvl" and sum(numbers) < 4:
        return  # are fractions then, by InternVL's own rule
    assert read_box(str(numbers), family) == pytest.approx(part)


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


# ---- VidSTG


def test_sampling_opens_a_frame_a_slot() -> None:
    # 10 native frames a second, 5 slots: every second frame
    assert sampled_frames(0, 10, 10.0) == [0, 2, 4, 6, 8]
    assert sampled_frames(3, 10, 10.0) == [3, 4, 6, 8]
    assert sampled_frames(0, 4, 2.0) == [0, 1, 2, 3]
    assert len(sampled_frames(0, 30 * 60, 30.0)) == 200
    assert sampled_frames(0, 30 * 60, 30.0)[:2] == [0, 6]


def test_tube_by_hand() -> None:
    frames = list(range(10))
    gt = dict.fromkeys(range(2, 6), (0, 0, 10, 10))
    said = dict.fromkeys(range(10), (0, 0, 10, 5))
    found = vidstg.score_tube((2, 6), gt, (4, 8), said, frames)
    # spans share 2 of 6 frames, boxes half of their area
    assert found["tiou"] == pytest.approx(2 / 6)
    assert found["viou"] == pytest.approx(2 * 0.5 / 6)
    assert found["viou_0.3"] == 0.0


def test_thresholds_are_strict() -> None:
    gt = dict.fromkeys(range(4), (0, 0, 10, 10))
    half = dict.fromkeys(range(4), (0, 0, 10, 5))
    found = vidstg.score_tube((0, 4), gt, (0, 4), half, range(4))
    assert found == {"tiou": 1.0, "viou": 0.5, "viou_0.3": 1.0, "viou_0.5": 0.0}


def test_the_end_is_not_part_of_a_span() -> None:
    gt = {0: (0, 0, 1, 1)}
    assert vidstg.score_tube((0, 1), gt, (1, 2), {1: (0, 0, 1, 1)}, [0, 1])["tiou"] == 0.0


@st.composite
def tubes(draw: st.DrawFn) -> tuple[tuple[int, int], dict[int, tuple[int, int, int, int]]]:
    start = draw(st.integers(0, 8))
    end = draw(st.integers(start + 1, 10))
    return (start, end), {frame: draw(boxes()) for frame in range(start, end)}


@few
@given(tubes(), tubes(), st.integers(1, 3))
def test_tube_against_sets(gt: Any, said: Any, step: int) -> None:
    frames = list(range(0, 10, step))
    found = vidstg.score_tube(gt[0], gt[1], said[0], said[1], frames)
    mine, other = set(range(*gt[0])), set(range(*said[0]))
    assert found["tiou"] == pytest.approx(len(mine & other) / len(mine | other))
    seen = [frame for frame in frames if frame in mine | other]
    total = sum(
        len(pixels(gt[1][frame]) & pixels(said[1][frame])) / (len(pixels(gt[1][frame]) | pixels(said[1][frame])) or 1)
        for frame in seen
        if frame in mine & other
    )
    assert found["viou"] == pytest.approx(total / len(seen) if seen else 0.0)
    assert 0.0 <= found["viou"] <= 1.0


@few
@given(tubes())
def test_the_true_tube_scores_one(gt: Any) -> None:
    found = vidstg.score_tube(gt[0], gt[1], gt[0], gt[1], range(10))
    flat = sum(not pixels(box) for box in gt[1].values())
    assert found["tiou"] == 1.0
    assert found["viou"] == pytest.approx(1 - flat / len(gt[1]))


@few
@given(tubes(), tubes(), st.integers(0, 10))
def test_a_longer_wrong_span_never_helps(gt: Any, said: Any, more: int) -> None:
    """Beyond the true end nothing can be gained; TubeDETR's released minimum would not notice."""
    (start, end), boxes = gt
    right = vidstg.score_tube((start, end), boxes, (start, end), boxes, range(20))
    longer = vidstg.score_tube((start, end), boxes, (start, end + more), boxes, range(20))
    assert longer["viou"] <= right["viou"] + 1e-9
    assert longer["tiou"] <= right["tiou"] + 1e-9
    one = vidstg.score_tube(gt[0], gt[1], said[0], said[1], range(10))["tiou"]
    other = vidstg.score_tube(said[0], said[1], gt[0], gt[1], range(10))["tiou"]
    assert one == pytest.approx(other)


@few
@given(boxes(), boxes())
def test_iou_grows_with_overlap_and_is_nothing_when_apart(a: Any, b: Any) -> None:
    apart = (b[0] + 20, b[1], b[2] + 20, b[3])
    assert iou(a, apart) == 0.0
    # shifted one more to the right of its own place, a box shares less with where it was
    shifts = [iou(a, (a[0] + shift, a[1], a[2] + shift, a[3])) for shift in range(4)]
    assert shifts == sorted(shifts, reverse=True)


# ---- MMDocIR


def test_page_recall() -> None:
    assert mmdocir.page_recall([3], [3]) == 1.0
    assert mmdocir.page_recall([1, 2, 3], [3, 4]) == 0.5
    assert mmdocir.page_recall([3, 3], [3, 4]) == 0.5
    assert mmdocir.page_recall([], [3]) == 0.0
    with pytest.raises(UserError):
        mmdocir.page_recall([1], [])


def test_layout_recall_by_hand() -> None:
    gold = [{"page": 1, "bbox": [0, 0, 10, 10]}]
    upper = {"page": 1, "bbox": [0, 0, 10, 5]}
    assert mmdocir.layout_recall([upper], gold) == 0.5
    assert mmdocir.layout_recall([{**upper, "page": 2}], gold) == 0.0
    # as in the official script, what is covered twice counts twice
    assert mmdocir.layout_recall([upper, upper, gold[0]], gold) == 2.0
    # the published set has a box without width
    assert mmdocir.layout_recall([upper], [{"page": 1, "bbox": [300, 100, 300, 450]}]) == 0.0


@few
@given(st.lists(st.tuples(st.integers(0, 1), boxes()), max_size=4), st.tuples(st.integers(0, 1), boxes()))
def test_layout_recall_counts_pixels(predicted: Any, gold: Any) -> None:
    found = mmdocir.layout_recall(
        [{"page": page, "bbox": box} for page, box in predicted], [{"page": gold[0], "bbox": gold[1]}]
    )
    covered = sum(len(pixels(box) & pixels(gold[1])) for page, box in predicted if page == gold[0])
    assert found == pytest.approx(covered / len(pixels(gold[1])) if pixels(gold[1]) else 0.0)


@few
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.lists(st.integers(0, 9), max_size=9))
def test_page_recall_is_bounded_and_grows_with_k(gold: list[int], said: list[int]) -> None:
    values = [mmdocir.page_recall(said[:k], gold) for k in range(len(said) + 1)]
    assert values == sorted(values)
    assert 0.0 <= values[0] <= values[-1] <= 1.0
    assert mmdocir.page_recall(gold, gold) == 1.0
