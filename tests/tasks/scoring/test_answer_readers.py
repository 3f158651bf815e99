"""What is read off a response: boxes, tubes, pages, layouts, options, short answers; and what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coreheads.errors import UserError
from coreheads.tasks.mlvu.scoring import read_option
from coreheads.tasks.mmdocir.scoring import read_layouts, read_page, read_pages
from coreheads.tasks.mmlongbench_doc.extraction import by_rules
from coreheads.tasks.scoring.boxes import read_box
from coreheads.tasks.vidstg.scoring import at_times, read_moment, read_tube


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
        ("[1, 2, 3, 1e999]", "qwen", None),
        ("[1, 2, 3]", "qwen", None),
        ("313 188 375 250", "qwen", None),
        ("", "qwen", None),
    ],
)
def test_read_box(response: str, family: str, box: tuple[float, ...] | None) -> None:
    found = read_box(response, family)
    assert found is None if box is None else found == pytest.approx(box)


def test_unknown_family_is_refused() -> None:
    for name in ("gpt", "qwen2_5_vl", "qwen2_vl", "llava_next", ""):  # Qwen2.5-VL writes pixels of the resized picture
        for response in ("[1, 2, 3, 4]", "nothing"):
            with pytest.raises(UserError, match="family"):
                read_box(response, name)


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
        ("(313, 188) (375, 250) #7 #8", None),
    ],
)
def test_read_moment(response: str, moment: Any) -> None:
    assert read_moment(response, "qwen") == moment


@pytest.mark.parametrize(
    ("response", "page"), [("#7", 7), ("7", 7), (" # 7 ", 7), ("#12", 12), ("page", None), ("", None)]
)
def test_read_page(response: str, page: int | None) -> None:
    assert read_page(response) == page


@pytest.mark.parametrize(
    ("response", "pages"),
    [("[7, 3]", [6, 2]), ("Pages 7, 3 and 7", [6, 2]), ("page 12.", [11]), ("none", []), ("", [])],
)
def test_read_pages(response: str, pages: list[int]) -> None:
    assert read_pages(response) == pages


def test_read_layouts() -> None:
    box = {"page": 2, "bbox_2d": [0, 0, 500, 1000]}
    said = json.dumps([box, box, {"page": "3", "box": [1, 2, 3, 4]}, {"page": 1}, {"bbox_2d": [1, 2, 3, 4]}, 7])
    assert read_layouts(f"Here: {said}", "qwen") == [
        {"page": 1, "bbox": [0.0, 0.0, 0.5, 1.0]},
        {"page": 2, "bbox": [0.001, 0.002, 0.003, 0.004]},
    ]
    assert read_layouts('{"page": 1, "bbox": [0, 0, 1, 1]}', "llava") == [{"page": 0, "bbox": [0, 0, 1, 1]}]
    assert read_layouts("page 1", "qwen") == []


@pytest.mark.parametrize(
    ("response", "answer_format", "prediction"),
    [
        ("Answer: 8", "Int", "8"),
        ("There are 8 references.", "Int", "8"),
        ("There are 8 of 9.", "Int", "There are 8 of 9"),
        ("1,200", "Int", "1200"),
        ("The answer is **18.29%**.", "Float", "18.29%"),
        ("I looked at page 3. Answer: red\n\nBecause of page 3.", "Str", "red"),
        ("not answerable.", "Str", "Not answerable"),
        ("Answer: The question is not answerable", "None", "Not answerable"),
        ("Answer: ['a', 'b']", "List", "['a', 'b']"),
        ("", "Str", ""),
    ],
)
def test_extraction_by_rules(response: str, answer_format: str, prediction: str) -> None:
    assert by_rules(response, answer_format) == prediction


@pytest.mark.parametrize(
    ("response", "option"),
    [
        ("7", 1), (" 7 ", 1), ("7.", 1), ("(B)", 1), ("B", 1), ("B.", 1), ("(b) 7", 1), ("Best option: (B)", 1),
        ("(D", 3), ("D)", 3), ("(F)", None), ("E", None), ("9", None), ("", None), ("Because of that", None),
        ("A dog", None), ("Answer: B", 1), ("**B**", 1), ("**Answer:** (B) 7", 1), ("The answer is (B).", 1),
        ("The correct answer is **B**.", 1), ("Option B", 1), ("Answer: option D", 3), ("The answer is 7.", 1),
        ("I see a 7.\n\nAnswer: B", 1), ("A man walks", None), ("The answer is a man", None), ("Answer: E", None),
        ("Answers differ", None), ("Option", None),
    ],
)  # fmt: skip
def test_read_option(response: str, option: int | None) -> None:
    assert read_option(response, ["3", "7", "1", "0"]) == option


def test_six_options_are_read() -> None:
    options = ["Fighting", "Explosion", "Robbery", "Shooting", "Stealing", "Arson"]
    assert read_option("(F) Arson", options) == 5
    assert read_option("arson", options) == 5
