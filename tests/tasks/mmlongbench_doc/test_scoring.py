"""MMLongBench-Doc's scores against hand-computed cases, and the short answer that rules find."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from box_cases import few
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.mmlongbench_doc import scoring as mmlongbench_doc
from coreheads.tasks.mmlongbench_doc.scoring import anls, edit_distance
from coreheads.tasks.scoring.short_answers import by_rules


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
        ("Not Answerable. The document does not mention it.", "None", "Not answerable"),
        ("Answer: Not answerable\nThe document is about cats.", "Int", "Not answerable"),
        ("Answer: Not answerable because no page tells", "List", "Not answerable"),
        ("Not answerable questions", "Str", "Not answerable questions"),
        ("Answer: −3.5", "Float", "-3.5"),
        ("Answer: 42\nIt is on page 3.", "Int", "42"),
        ("Answer: 42 (see page 3)", "Int", "42"),
        ("Answer: 2−5", "Int", "2-5".replace("-", "−")),
        ('Answer:\n```json\n["a", "b"]\n```', "List", "['a', 'b']"),
        ("Answer: [\u201ca\u201d, \u201cb\u201d]", "List", "['a', 'b']"),
        ("Answer: The fruits are ['a', 'b'].", "List", "['a', 'b']"),
        ("Answer: [a, b]", "List", "['a', 'b']"),
        ("Answer: a, b, and c.", "List", "['a', 'b', 'c']"),
        ("Answer: a, b and c", "List", "['a', 'b', 'c']"),
        ("Answer: a and b", "List", "['a', 'b']"),
        ("Answer:\n- a\n- b", "List", "['a', 'b']"),
        ("Answer:\n* a\n* b", "List", "['a', 'b']"),
        ("Answer: They are:\n\n1. a\n2. **b**", "List", "['a', 'b']"),
        ("Answer: a [3]", "List", "a [3]"),
        ("Answer: a", "List", "a"),
        ("Answer: 3</think>Answer: 4", "Int", "4"),
        ("<think>Answer: 3", "Int", ""),
        ("", "Str", ""),
    ],
)
def test_extraction_by_rules(response: str, answer_format: str, prediction: str) -> None:
    assert by_rules(response, answer_format) == prediction


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


def test_nan_never_scores() -> None:
    assert mmlongbench_doc.score_answer("nan", "nan", "Float") == 0.0
    assert not math.isnan(mmlongbench_doc.score_answer("inf", "inf", "Float"))
