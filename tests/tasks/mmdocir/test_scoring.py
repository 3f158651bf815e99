"""MMDocIR's scores against hand-computed cases and counted pixels, and what is read off an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from box_cases import boxes, few, pixels
from hypothesis import given
from hypothesis import strategies as st

from coreheads.errors import UserError
from coreheads.tasks.mmdocir import layout
from coreheads.tasks.mmdocir import scoring as mmdocir
from coreheads.tasks.mmdocir.scoring import read_layouts, read_page, read_pages


@pytest.mark.parametrize(
    ("response", "page"),
    [
        ("#7", 7),
        ("7", 7),
        (" # 7 ", 7),
        ("#12", 12),
        ("page", None),
        ("", None),
        ("Table 2 is on #7", 7),
        ("Table 2", None),
        ("#1,204", None),
        ("#7.5", None),
        ("#2 or</think>#7", 7),
        ("<think>#2", None),
    ],
)
def test_read_page(response: str, page: int | None) -> None:
    assert read_page(response) == page


@pytest.mark.parametrize(
    ("response", "pages"),
    [("[7, 3]", [6, 2]), ("Pages 7, 3 and 7", [6, 2]), ("page 12.", [11]), ("none", []), ("", [])],
)
def test_read_pages(response: str, pages: list[int]) -> None:
    assert read_pages(response) == pages


@pytest.mark.parametrize(
    ("response", "pages"),
    [
        ("Table 2 on page 7: [7]", [7]),
        ("Of the 40 pages, these are needed: [7, 3].", [7, 3]),
        ("[7, 3] because of Table 2", [7, 3]),
        ("Since [2] says so, ask [4]: [7]", [7]),
        ("[7], [3]", [7, 3]),
        ("[7] as [2] says, or [3]", []),
        ("```json\n[7, 3]\n```", [7, 3]),
        ('["7", "Page 3", 7.0]', [7, 3]),
        ('{"pages": [7, 3]}', [7, 3]),
        ("［７，３］", [7, 3]),
        ("**Answer:** [7]", [7]),
        ("I saw 9 pages. Answer: 7", [7]),
        ("Pages 7-9", [7, 8, 9]),
        ("[7–9, 3]", [7, 8, 9, 3]),
        ("9-7", []),
        ("1-999999999", []),
        ("Page 1,204", [1204]),
        ("[1,204]", [1, 204]),
        ("Pages 1,204", []),
        ("It stands on page 1,204.", [1204]),
        ("1,204", []),
        ("7,3", [7, 3]),
        ("[7, 3] and [7, 3]", [7, 3]),
        ("1. Page 7\n2. Page 3", [7, 3]),
        ("- 7\n- 3", [7, 3]),
        ("The 2019 revenue is on page 7.", [7]),
        ("Table 2 is on pages 7 and 9 of the report", [7, 9]),
        ("Not page 3", []),
        ("Page 3 has the text, page 7 the table", []),
        ("In 2019 there were 40", []),
        ("page 7.5", []),
        ("[7.5]", []),
        ("[7, 3", []),
        ("-7", []),
        ("[0]", []),
        ("[-7]", []),
        ("[]", []),
        ("[true]", []),
        ("[7, true]", []),
        ("Page: 7", [7]),
        ("Page 7/40", [7]),
        ("7/40", []),
        ("7 or 9", []),
        ("[7, 3, ...]", []),
        ("The answer is page 7, not page 3", []),
        ("[VII]", []),
        ("It is on page 7 and 9.", [7, 9]),
        ("Page 7 and 3 tables", []),
        ("page 7, 3 tables of it", []),
        ("It is on page 5 or 6", []),
        ("It is on page 3a", []),
        ("They are on pages 12, 14, & 16", [12, 14, 16]),
        ("[7, [3]]", []),
        ("[3]\n[7, 9, 1", []),
        ("Answer: [7]\n\nQuestion: And then?\nAnswer: [9]", [7]),
        ("[1, 2]</think>[7]", [7]),
        ("<think>[1, 2]", []),
    ],
)
def test_pages_are_read_whole_or_not_at_all(response: str, pages: list[int]) -> None:
    assert [page + 1 for page in read_pages(response)] == pages


@pytest.mark.parametrize(
    ("page", "number"),
    [("7", 7), ('"Page 7"', 7), ("7.0", 7), ('"1,204"', 1204), ("7.5", None), ("0", None), ("-7", None),
     ('"7-9"', None), ("true", None), ("null", None), ('"page 7: table 2"', None)],
)  # fmt: skip
def test_the_page_of_a_layout_is_one_whole_number(page: str, number: int | None) -> None:
    read = read_layouts(f'[{{"page": {page}, "bbox_2d": [1, 2, 3, 4]}}]', "qwen")
    assert [box["page"] + 1 for box in read] == ([] if number is None else [number])


def test_read_layouts() -> None:
    box = {"page": 2, "bbox_2d": [0, 0, 500, 1000]}
    said = json.dumps([box, box, {"page": "3", "box": [1, 2, 3, 4]}, {"page": 1}, {"bbox_2d": [1, 2, 3, 4]}, 7])
    assert read_layouts(f"Here: {said}", "qwen") == [
        {"page": 1, "bbox": [0.0, 0.0, 0.5, 1.0]},
        {"page": 2, "bbox": [0.001, 0.002, 0.003, 0.004]},
    ]
    assert read_layouts('{"page": 1, "bbox": [0, 0, 1, 1]}', "llava") == [{"page": 0, "bbox": [0, 0, 1, 1]}]
    assert read_layouts("page 1", "qwen") == []


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


def test_the_official_layout_recall_stands_beside_the_bounded_one() -> None:
    gold = {"page": 0, "bbox": [0, 0, 50, 50], "page_size": [100, 100]}
    doc = {"family": "qwen", "layouts": [gold], "doc_name": "a", "record_id": "0", "domain": "News"}
    boxes = [{"page": 1, "bbox_2d": [0, 0, 500, 500]}, {"page": 1, "bbox_2d": [0, 0, 500, 501]}]
    scores = layout.scores(doc, json.dumps(boxes))
    assert (scores["layout_recall_1"], scores["layout_recall_5"]) == (1.0, 1.0)
    assert (scores["official_layout_recall_1"], scores["official_layout_recall_5"]) == (1.0, 2.0)
    assert sorted(mmdocir.details(doc, "", scores)) == [f"layout_recall_{rank}_macro" for rank in (10, 1, 5)]
    assert "official" in layout.variant({})
