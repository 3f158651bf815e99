"""MMLongBench's scores against hand-computed cases, and what must hold for any answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from box_cases import few
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.mmlongbench import scoring as mmlongbench
from coreheads.tasks.mmlongbench.docqa import docqa, parsed_answer, word_f1
from coreheads.tasks.mmlongbench.scoring import choice, contains, counts, readable, yes_or_no


@pytest.mark.parametrize(
    ("answer", "response", "answer_format", "score"),
    [
        ("8", "There are 8 references.", "Integer", 1.0),
        ("8", "8.0", "Integer", 1.0),
        ("8", "18", "Integer", 0.0),
        ("1,200", "1200 acres", "Integer", 1.0),
        ("12 million", "It is 12.", "Integer", 1.0),  # the unit is cut off the truth
        ("18.29%", "The answer is 18.3 %", "Float", 1.0),  # within 1 %
        ("18.29%", "0.1829", "Float", 1.0),
        ("18.29%", "19", "Float", 0.0),
        ("less well-off", "Less well-off", "String", 1.0),
        ("the red car", "a red bus", "String", 0.5),  # red; car, bus
        ("page 7", "It is on page 7.", "String", 1.0),  # must be contained as it stands
        ("page 7", "on Page 7", "String", 0.0),
        ("Not answerable", "Not answerable.", "None", 1.0),
        ('["red car", "blue bus"]', "red car, blue bus", "List", 1.0),
        ('["red car", "blue bus"]', "red car", "List", 2 * 1.0 * 0.5 / 1.5),  # texts are joined: 2 words of 4
        ('["red car", 3, "4.5%"]', "red car and 3", "List", (2 * (2 / 4) * 1 / (2 / 4 + 1) + 1) / 3),
        ("[3, 4]", "3", "List", 0.5),
    ],
)
def test_document_questions(answer: str, response: str, answer_format: str, score: float) -> None:
    assert docqa(answer, response, answer_format) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "answer_format"),
    [("8.5", "Integer"), ("eight", "Integer"), ("[]", "List"), ("x", "Words"), ("x", "List")],
)
def test_answers_that_are_not_of_their_format(answer: str, answer_format: str) -> None:
    with pytest.raises(ValueError, match=r"answer|could not|Expecting"):
        docqa(answer, "8", answer_format)


@few
@given(st.lists(st.sampled_from(["red", "blue", "car", "bus"]), min_size=1, max_size=6), st.text("rbc ed", max_size=9))
def test_word_f1_is_symmetric_bounded_and_one_for_itself(words: list[str], other: str) -> None:
    text = " ".join(words)
    assert word_f1(text, text) == pytest.approx(1.0)
    assert 0.0 <= word_f1(text, other) <= 1.0
    assert word_f1(text, other) == pytest.approx(word_f1(other, text))
    assert word_f1(text, "zebra") == 0.0


@few
@given(st.integers(-10_000, 10_000))
def test_any_whole_number_answers_itself(number: int) -> None:
    assert docqa(str(number), f"It is {number}.", "Integer") == 1.0
    assert docqa(str(number), f"It is {number + 1}.", "Integer") == 0.0
    assert docqa(json.dumps([number]), f"{number}", "List") == 1.0


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 7", "7"),
        ("answer:7 days", "7 days"),
        ("I think.\nAnswer: 7\nAnswer: 8", "7\nAnswer: 8"),
        ("Answer: Answer: 7", "7"),
        ("7", "7"),
        ("", ""),
    ],
)
def test_what_follows_the_first_answer(response: str, answer: str) -> None:
    assert parsed_answer(response) == answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.", 1),
        ("no", 0),
        ("No, wait, yes", 1),
        ("the answer is No", 0),
        ("1", 1),
        ("7", 7),
        ("maybe", None),
        ("noon", None),
    ],
)
def test_yes_or_no(text: str, said: int | None) -> None:
    assert yes_or_no(text) == said


def test_silence_is_filled_in_by_the_records_place() -> None:
    given_by_place = [mmlongbench.score("maybe", "yes", "binary", number=number) for number in range(5)]
    assert given_by_place == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert mmlongbench.score("Answer: no", "no", "binary", number=1) == 1.0


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("The answer is (B)", 1),
        ("Answer: C", 2),
        ("A or B? B", 1),
        ("(D)", 3),
        ("Answer: b", None),
        ("none", None),
        ("A picture of the answer is C", 2),
    ],
)
def test_choice(text: str, index: int | None) -> None:
    assert choice(text) == index


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1, 2, 0]", [1, 2, 0]),
        ("first [9], then [1, 2]", [1, 2]),
        ('["1", 2, "x"]', [1, 2]),
        ("3 and 4", [3, 4]),
        ("[1 2]", [1, 2]),
        ("none", []),
    ],
)
def test_counts(text: str, found: list[int]) -> None:
    assert counts(text) == found


def test_counts_are_scored_by_their_sum() -> None:
    assert mmlongbench.score("Answer: [2, 1]", [1, 2], "count") == 1.0
    assert mmlongbench.score("3", [1, 2], "count") == 1.0
    assert mmlongbench.score("[1, 2, 1]", [1, 2], "count") == 0.0


@pytest.mark.parametrize(
    ("response", "answers", "found"),
    [
        ("It was built by Ann Lee.", ["Ann"], True),
        ("The ANN-LEE house", "ann lee", False),  # punctuation goes without leaving a blank
        ("Bob", [["Ann"], ["Bob", "Rob"]], True),
        ("the house of an architect", ["A House"], True),
        ("", ["Ann"], False),
    ],
)
def test_contains(response: str, answers: Any, found: bool) -> None:
    assert contains(response, answers) is found
    assert mmlongbench.score(response, answers, "contains") == float(found)


@few
@given(st.text(max_size=40), st.sampled_from(["binary", "choice", "count", "contains", "docqa"]))
def test_any_response_scores_between_0_and_1(response: str, metric: str) -> None:
    answers: dict[str, Any] = {"binary": "yes", "choice": 1, "count": [1, 2], "contains": ["x"], "docqa": "red"}
    value = mmlongbench.score(response, answers[metric], metric, "String")
    assert value in (0.0, 1.0) or (metric == "docqa" and 0.0 < value < 1.0)
    readable(response, metric)


def test_reasoning_is_not_read() -> None:
    assert mmlongbench.score("It is B, no: C</think>Answer: A", 0, "choice") == 1.0
    assert mmlongbench.score("Is it Tom?</think>Ann", ["Tom"], "contains") == 0.0
    assert not readable("<think>[1, 2]", "count")
