"""Scorers against hand-computed cases, other ways to compute the same, and what must hold for any input."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.errors import UserError
from coreheads.tasks import mlvu, mmdocir, mmlongbench_doc, refcocog, vidstg
from coreheads.tasks.boxes import iou, read_box
from coreheads.tasks.mlvu.scoring import read_option
from coreheads.tasks.mmdocir.scoring import read_page
from coreheads.tasks.mmlongbench_doc.scoring import anls, edit_distance
from coreheads.tasks.vidstg.scoring import read_moment, sampled_frames

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


@pytest.mark.parametrize(
    ("response", "family", "box"),
    [
        ("(313, 188) (375, 250)", "qwen3_vl", (0.313, 0.188, 0.375, 0.25)),
        (" (313, 188) (375, 250) ", "qwen", (0.313, 0.188, 0.375, 0.25)),
        ("(313,188),(375,250)", "qwen", (0.313, 0.188, 0.375, 0.25)),
        ("( 313 , 188 )  ( 375 , 250 )", "qwen", (0.313, 0.188, 0.375, 0.25)),
        ('```json\n[{"bbox_2d": [523, 621, 817, 937], "label": "1"}]```', "qwen3_vl", (0.523, 0.621, 0.817, 0.937)),
        ("[[523,621,817,937]]", "internvl", (0.523, 0.621, 0.817, 0.937)),
        ("[[0.5,0.25,1,1]]", "internvl", (0.5, 0.25, 1.0, 1.0)),
        ("[0.5, 0.25, 1, 1]", "llava_onevision", (0.5, 0.25, 1.0, 1.0)),
        ("[1, 2, 3, 4] or [5, 6, 7, 8]", "qwen", (0.001, 0.002, 0.003, 0.004)),
        # a fraction in Qwen's space is a fraction of a thousandth: no second scale is tried
        ("[0.5, 0.25, 1, 1]", "qwen", (0.0005, 0.00025, 0.001, 0.001)),
        ("[1, 2, 3]", "qwen", None),
        ("313 188 375 250", "qwen", None),
        ("", "qwen", None),
    ],
)
def test_read_box(response: str, family: str, box: tuple[float, ...] | None) -> None:
    found = read_box(response, family)
    assert found is None if box is None else found == pytest.approx(box)


def test_unknown_family_is_refused() -> None:
    with pytest.raises(UserError, match="gpt"):
        read_box("[1, 2, 3, 4]", "gpt")


# ---- RefCOCOg


def test_half_is_enough() -> None:
    # the upper half of a 100 x 100 image: IoU exactly 0.5
    assert refcocog.score("[0, 0, 1000, 500]", (0, 0, 100, 100), (100, 100), "qwen") == {"iou": 0.5, "acc_0.5": 1.0}
    assert refcocog.score("[0, 0, 1000, 499]", (0, 0, 100, 100), (100, 100), "qwen")["acc_0.5"] == 0.0


def test_pixel_answers_are_not_rescued() -> None:
    right_in_pixels = "[334.72, 298.08, 522.88, 450.24]"
    assert refcocog.score(right_in_pixels, (334.72, 298.08, 522.88, 450.24), (640, 480), "qwen")["acc_0.5"] == 0.0


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


@pytest.mark.parametrize(
    ("response", "moment"),
    [
        ("#7 #8 (313, 188) (375, 250)", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        (" # 7  # 8 ( 313, 188 ) (375, 250)", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        ("#7#8[313, 188, 375, 250]", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        ("#7 (313, 188) (375, 250)", None),
        ("#7 #8 (313, 188)", None),
        ("(313, 188) (375, 250) #7 #8", None),
    ],
)
def test_read_moment(response: str, moment: Any) -> None:
    assert read_moment(response, "qwen") == moment


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


@pytest.mark.parametrize(
    ("response", "page"), [("#7", 7), ("7", 7), (" # 7 ", 7), ("#12", 12), ("page", None), ("", None)]
)
def test_read_page(response: str, page: int | None) -> None:
    assert read_page(response) == page


# ---- MMLongBench-Doc


@pytest.mark.parametrize(
    ("answer", "prediction", "answer_format", "score"),
    [
        ("8", "8", "Int", 1.0),
        ("8", "8.9", "Int", 1.0),  # cut, not rounded
        ("8", "There are 8 references.", "Int", 0.0),
        ("8", "", "Int", 0.0),
        ("8", "inf", "Int", 0.0),
        ("18.29%", "18.29", "Float", 1.0),
        ("18.29%", "0.1829", "Float", 1.0),
        ("0.1829", "18.29%", "Float", 1.0),
        ("18.29", "18.4", "Float", 1.0),  # within 1 %
        ("18.29", "18.7", "Float", 0.0),
        ("$5", "5", "Float", 1.0),
        ("5 miles", "5", "Float", 0.0),  # the unit stays, as in the official script
        ("18.29%", "The answer is 18.29%", "Float", 0.0),
        ("Not answerable", "not answerable.", "None", 1 - 1 / 15),
        ("Less well-off", "less well-off", "Str", 1.0),
        ("Less well-off", "better", "Str", 0.0),
        ("Figure 3 (left)", "figure 3", "Str", 1.0),
        ("page 7", "page 8", "Str", 0.0),  # must be exact
        ("2016-05", "2016-06", "Str", 0.0),
        ("a@b.org", "a@b.orgs", "Str", 0.0),
        ("['Figure 3', 'Table 1']", "['Table 1', 'Figure 4']", "List", 0.875),
        ("['Figure 3']", "['Figure 3', 'Table 1']", "List", 0.0),
        ("['1', '2']", "['2', '1']", "List", 1.0),
        ("['1', '2']", "['2', '3']", "List", 0.0),
        ("['a']", "[__import__('os').getpid()]", "List", 0.0),
        ("['a']", "['a'", "List", 0.0),
        ("apple", "apple", "List", 1.0),
        ("[]", "[]", "List", 0.0),
    ],
)
def test_score_answer(answer: str, prediction: str, answer_format: str, score: float) -> None:
    assert mmlongbench_doc.score_answer(answer, prediction, answer_format) == pytest.approx(score)


@few
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance_against_its_definition(a: str, b: str) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    assert edit_distance(a, b) == distance(len(a), len(b))


@few
@given(
    st.text("019.-%$[]()'abe, ", max_size=12),
    st.text("019.-%$[]()'abe, ", max_size=12),
    st.sampled_from(["Int", "Float", "Str", "None", "List"]),
)
def test_answers_score_between_0_and_1(answer: str, prediction: str, answer_format: str) -> None:
    assert 0.0 <= mmlongbench_doc.score_answer(answer, prediction, answer_format) <= 1.0


@few
@given(st.text("abcdef ", min_size=1, max_size=20).filter(lambda text: bool(text.strip())))
def test_an_answer_answers_itself(answer: str) -> None:
    assert mmlongbench_doc.score_answer(answer, answer, "Str") == 1.0
    assert anls(answer, answer) == 1.0


def test_accuracy_f1_by_hand() -> None:
    rows: list[dict[str, Any]] = [
        {"answer": "8", "pred": "8", "score": 1.0},
        {"answer": "9", "pred": "Not answerable", "score": 0.0},
        {"answer": "Not answerable", "pred": "Not answerable", "score": 1.0},
        {"answer": "Not answerable", "pred": "7", "score": 0.0},
        {"answer": "left out", "pred": "no score"},
    ]
    # recall 1 of 2 answerable, precision 1 of 2 answered
    assert mmlongbench_doc.accuracy_f1(rows) == (0.5, 0.5)
    assert mmlongbench_doc.accuracy_f1([]) == (0.0, 0.0)
    assert mmlongbench_doc.accuracy_f1(rows[2:3]) == (1.0, 0.0)


# ---- MLVU


def test_m_avg_is_over_the_types_present() -> None:
    rows = [{"question_type": "a", "score": score} for score in (1, 1, 1, 0)]
    assert mlvu.m_avg([*rows, {"question_type": "b", "score": 0}]) == pytest.approx((0.75 + 0) / 2)
    assert mlvu.m_avg(rows) == 0.75
    with pytest.raises(UserError):
        mlvu.m_avg([])


@pytest.mark.parametrize(
    ("response", "option"),
    [
        ("7", 1), (" 7 ", 1), ("7.", 1), ("(B)", 1), ("B", 1), ("B.", 1), ("(b) 7", 1), ("Best option: (B)", 1),
        ("(D", 3), ("D)", 3), ("(F)", None), ("E", None), ("9", None), ("", None), ("Because of that", None),
        ("A dog", None),
    ],
)  # fmt: skip
def test_read_option(response: str, option: int | None) -> None:
    assert read_option(response, ["3", "7", "1", "0"]) == option


def test_six_options_are_read() -> None:
    options = ["Fighting", "Explosion", "Robbery", "Shooting", "Stealing", "Arson"]
    assert read_option("(F) Arson", options) == 5
    assert read_option("arson", options) == 5


def test_nan_never_scores() -> None:
    assert mmlongbench_doc.score_answer("nan", "nan", "Float") == 0.0
    assert not math.isnan(mmlongbench_doc.score_answer("inf", "inf", "Float"))
