"""Boxes: their overlap against counted pixels, and how each family's are read and written."""

from __future__ import annotations

from typing import Any

import pytest
from box_cases import boxes, few, pixels
from hypothesis import given

from coreheads.errors import UserError
from coreheads.tasks.mmdocir.scoring import read_layouts
from coreheads.tasks.scoring.boxes import iou, read_box
from coreheads.tasks.scoring.families import written
from coreheads.tasks.vidstg.scoring import read_moment, read_tube


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
        ("[.12, 4e-1, 1., 1]", "llava_onevision", (0.12, 0.4, 1.0, 1.0)),
        ("(.12, 1e-1) (4., 1E2)", "qwen", (0.00012, 0.0001, 0.004, 0.1)),
        ('[{"bbox_2d": ["523", "621", "817", "937"]}]', "qwen", (0.523, 0.621, 0.817, 0.937)),
        ("['523', '621', '817', '937']", "qwen", (0.523, 0.621, 0.817, 0.937)),
        ('{"bbox_2d": [[523, 621], [817, 937]]}', "qwen", (0.523, 0.621, 0.817, 0.937)),
        ("[[523, 621], [817, 937]]", "qwen", (0.523, 0.621, 0.817, 0.937)),
        ('{"bbox_2d": [[523, 621, 817, 937]]}', "qwen", (0.523, 0.621, 0.817, 0.937)),
        ('{"objects": [{"label": "cat", "bbox": [523, 621, 817, 937]}]}', "qwen", (0.523, 0.621, 0.817, 0.937)),
        ('In [0, 0, 640, 480] it is {"bbox_2d": [523, 621, 817, 937]}', "qwen", (0.523, 0.621, 0.817, 0.937)),
        ("（313，188）（375，250）", "qwen", (0.313, 0.188, 0.375, 0.25)),
        ("[1, 2, 3, 4] perhaps</think>[5, 6, 7, 8]", "qwen", (0.005, 0.006, 0.007, 0.008)),
        ("<think>[1, 2, 3, 4]", "qwen", None),
        ('{"bbox_2d": ["1px", 2, 3, 4]}', "qwen", None),
        ('{"bbox_2d": ["1px", 2, 3, 4]} [5, 6, 7, 8]', "qwen", None),
        ('[{"bbox_2d": null}, {"bbox_2d": [5, 6, 7, 8]}]', "qwen", None),
        ('{"bbox_2d": [1, 2, 3, 4, 5]} or [5, 6, 7, 8]', "qwen", None),
        ('{"bbox_2d": {"x0": 1}} (1, 2), (3, 4)', "qwen", None),
        ('{"bbox_2d": [true, 2, 3, 4]} [5, 6, 7, 8]', "qwen", None),
        ('{"bbox_2d": [1, 2, 3, NaN]} [5, 6, 7, 8]', "qwen", None),
        ('{"bbox_2d": [1 2 3 4]} [5, 6, 7, 8]', "qwen", None),
        ('{"bbox_2d": "1, 2, 3, 4"} [5, 6, 7, 8]', "qwen", None),
        ('{"bbox_2d": []} {"bbox_2d": [5, 6, 7, 8]}', "qwen", None),
        ('{"box": "A", "bbox_2d": [5, 6, 7, 8]}', "qwen", (0.005, 0.006, 0.007, 0.008)),
        ("{'bbox_2d': [5, 6, 7, 8]}", "qwen", (0.005, 0.006, 0.007, 0.008)),
        ('{"bbox_2d": [5, 6, 7, 8], "label": "cut o', "qwen", (0.005, 0.006, 0.007, 0.008)),
        ('{"bbox_2d": [1, 2, 3, 4, 5]}', "qwen", None),
        ("[1, 2, 3, 1e999]", "qwen", None),
        ("[1, 2, 3]", "qwen", None),
        ("[1,000, 2, 3]", "qwen", None),
        ("(1, 2), (3, 2), (3, 4), (1, 4)", "qwen", None),
        ("<quad>(1,2),(3,2),(3,4),(1,4)</quad>", "qwen", None),
        ("<box>(1,2),(3,4)</box><box>(5,6),(7,8)</box>", "qwen", (0.001, 0.002, 0.003, 0.004)),
        ("313 188 375 250", "qwen", None),
        ("", "qwen", None),
    ],
)
def test_read_box(response: str, family: str, box: tuple[float, ...] | None) -> None:
    found = read_box(response, family)
    assert found is None if box is None else found == pytest.approx(box)


@pytest.mark.parametrize(
    "box",
    ["[100, 200, 300, 400]", '["100", "200", "300", "400"]', "[[100, 200, 300, 400]]", "[[100, 200], [300, 400]]"],
)
@pytest.mark.parametrize("key", ["bbox_2d", "bbox", "box"])
def test_every_task_reads_the_same_boxes(box: str, key: str) -> None:
    part = (0.1, 0.2, 0.3, 0.4)
    assert read_box(f'[{{"{key}": {box}}}]', "qwen") == part
    assert read_layouts(f'{{"layouts": [{{"page": 1, "{key}": {box}}}]}}', "qwen") == [{"page": 0, "bbox": list(part)}]
    tube = read_tube(f'{{"start": 1, "end": 2, "boxes": [{{"time": 1, "{key}": {box}}}]}}', "qwen")
    assert tube == ((1.0, 2.0), {1.0: part})
    assert read_moment(f"#1 #2 {box}", "qwen") == (1, 2, part)


def test_two_boxes_of_one_page_are_two_layouts() -> None:
    assert len(read_layouts('[{"page": 7, "bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]]}]', "qwen")) == 2


def test_unknown_family_is_refused() -> None:
    for name in ("gpt", "qwen2_5_vl", "qwen2_vl", "llava_next", ""):  # Qwen2.5-VL writes pixels of the resized picture
        for response in ("[1, 2, 3, 4]", "nothing"):
            with pytest.raises(UserError, match="family"):
                read_box(response, name)


@few
@given(boxes(), boxes())
def test_iou_counts_pixels(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> None:
    either = pixels(a) | pixels(b)
    expected = len(pixels(a) & pixels(b)) / len(either) if either else 0.0
    assert iou(a, b) == pytest.approx(expected)
    assert iou(a, b) == iou(b, a)


@few
@given(boxes(), boxes())
def test_iou_grows_with_overlap_and_is_nothing_when_apart(a: Any, b: Any) -> None:
    apart = (b[0] + 20, b[1], b[2] + 20, b[3])
    assert iou(a, apart) == 0.0
    # shifted one more to the right of its own place, a box shares less with where it was
    shifts = [iou(a, (a[0] + shift, a[1], a[2] + shift, a[3])) for shift in range(4)]
    assert shifts == sorted(shifts, reverse=True)


@pytest.mark.parametrize("family", ["qwen", "internvl", "llava"])
@few
@given(box=boxes(1000))
def test_what_a_family_writes_is_read_back(family: str, box: Any) -> None:
    part = [edge / 1000 for edge in box]
    numbers = written(part, family)
    if family == "internvl" and sum(numbers) < 4:
        return  # are fractions then, by InternVL's own rule
    assert read_box(str(numbers), family) == pytest.approx(part)
