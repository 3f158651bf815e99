"""VidSTG's score against hand-computed cases and sets of pixels, and what is read off an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from box_cases import boxes, few, pixels
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.vidstg import scoring as vidstg
from coreheads.tasks.vidstg import task
from coreheads.tasks.vidstg.scoring import at_times, read_moment, read_tube, sampled_frames


@pytest.mark.parametrize(
    ("response", "span", "times"),
    [
        ('{"start": 1, "end": 2.5, "boxes": [{"time": 1, "bbox_2d": [100, 200, 300, 400]}]}', (1.0, 2.5), [1.0]),
        ('```json\n[{"start": "1 s", "end": "2 s", "boxes": []}]\n```', (1.0, 2.0), []),
        ('Sure: {"start": 1, "end": 2} and more', (1.0, 2.0), []),
        ('{"start": 1, "end": 2, "boxes": [7, {"time": 1}, {"time": null, "box": [1, 2, 3, 4]}]}', (1.0, 2.0), []),
        ('{"start": 1}', None, []),
        ('{"start": "soon", "end": "later"}', None, []),
        ("from 1 to 2", None, []),
        ('{"start": 1, "end": 2', None, []),
        ('{"start": 1e999, "end": 2}', None, []),
    ],
)
def test_read_tube(response: str, span: Any, times: list[float]) -> None:
    found = read_tube(response, "qwen")
    if span is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == span
        assert sorted(found[1]) == times
        assert all(box == (0.1, 0.2, 0.3, 0.4) for box in found[1].values())


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("01:05", "01:10.5", (65.0, 70.5)),
        ("00:01:05", "1:00:10.50", (65.0, 3610.5)),
        ("1m5s", "1 min 10 s", (65.0, 70.0)),
        ("65.0s", "1 minute 10 seconds.", (65.0, 70.0)),
        ("<65.0 seconds>", "７０．５", (65.0, 70.5)),
        ("65", "2 min", (65.0, 120.0)),
        ("65,0", "70,5", None),
        ("frame 3", "frame 9", None),
        ("01:75", "02:10", None),
        ("1:75:00", "2:00:00", None),
        ("3 of 9", "9 of 9", None),
        ("3-4", "9", None),
        ("", "9", None),
        ("50%", "60%", None),
        ([65.0], [70.5], None),
        (True, 2, None),
        (70.5, 65.0, None),  # ends before it starts
    ],
)
def test_a_time_is_read_whole_or_not_at_all(start: Any, end: Any, span: Any) -> None:
    said = json.dumps({"start": start, "end": end, "boxes": []})
    read = read_tube(said, "qwen")
    assert (read and read[0]) == span
    box = {"time": start, "bbox_2d": [100, 200, 300, 400]}
    read = read_tube(json.dumps({"start": 0, "end": 9999, "boxes": [box]}), "qwen")
    assert read is not None
    assert len(read[1]) == (span is not None or start == 70.5)


def test_another_object_does_not_stand_in_for_times_that_are_not_understood() -> None:
    assert read_tube('{"start": "frame 3", "end": "frame 9"} {"start": 3, "end": 9}', "qwen") is None
    wrapped = read_tube('{"answer": {"start": 65, "end": 70, "boxes": []}}', "qwen")
    assert wrapped == ((65.0, 70.0), {})


def test_reasoning_is_not_read() -> None:
    reasoning = '{"start": 1, "end": 2, "boxes": []} #1 #2 (0, 0) (1, 1)'
    for end in ("</think>", "</thinking>", "◁/think▷"):
        assert read_tube(f'{reasoning}{end}{{"start": 3, "end": 4}}', "qwen") == ((3.0, 4.0), {})
        assert read_moment(f"{reasoning}{end}#7 #8 (0, 0) (500, 1000)", "qwen") == (7, 8, (0, 0, 0.5, 1))
    assert read_tube(f"<think>{reasoning}", "qwen") is None  # cut off while it reasons
    assert read_moment(f"<think>{reasoning}", "qwen") is None


def test_boxes_between_the_given_ones_lie_on_a_line() -> None:
    boxes = {1.0: (0.0, 0.0, 0.2, 0.2), 3.0: (0.4, 0.2, 0.6, 0.4)}
    found = at_times(boxes, [0.0, 1.0, 2.0, 3.0, 9.0])
    assert found[0] == found[1] == boxes[1.0]
    assert found[2] == pytest.approx((0.2, 0.1, 0.4, 0.3))
    assert found[3] == found[4] == boxes[3.0]


@pytest.mark.parametrize(
    ("response", "moment"),
    [
        ("#7 #8 (313, 188) (375, 250)", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        (" # 7  # 8 ( 313, 188 ) (375, 250)", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        ("#7#8[313, 188, 375, 250]", (7, 8, (0.313, 0.188, 0.375, 0.25))),
        ("#7 (313, 188) (375, 250)", None),
        ("#7 #8 (313, 188)", None),
        ("#7 #8.5 (313, 188) (375, 250)", None),
        ("#7 #1:05 (313, 188) (375, 250)", None),
        ("(313, 188) (375, 250) #7 #8", None),
    ],
)
def test_read_moment(response: str, moment: Any) -> None:
    assert read_moment(response, "qwen") == moment


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


def test_the_official_number_cuts_the_union_at_the_earlier_end(monkeypatch: pytest.MonkeyPatch) -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    doc = {
        "family": "qwen",
        "segment": [0, 10],
        "fps": 1.0,
        "width": 100,
        "height": 100,
        "span": (2, 6),
        "form": "declarative",
    }
    monkeypatch.setattr(task.data, "scored_frames", lambda doc: list(range(10)))
    monkeypatch.setattr(task.data, "tube", lambda doc: dict.fromkeys(range(2, 6), box))
    said = json.dumps({"start": 4, "end": 8, "boxes": [{"time": 4, "bbox_2d": [0, 0, 100, 100]}]})
    scores = task.scores(doc, said)
    assert scores["m_viou"] == pytest.approx(2 / 6)
    assert scores["official_m_viou"] == pytest.approx(2 / 4)
    assert task.scores(doc, "nothing")["official_m_viou"] == 0.0
