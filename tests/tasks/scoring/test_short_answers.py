"""Natural replies about a document: read as a person reads them, or said to be unread."""

from __future__ import annotations

import re

import pytest
from box_cases import few
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.mmlongbench_doc import task
from coreheads.tasks.scoring.short_answers import NO_ANSWER, NOT_ANSWERABLE, by_rules, understood


@pytest.mark.parametrize(
    ("response", "answer_format", "number"),
    [
        ("1.2e3", "Float", "1.2e3"),
        ("$1,250.5 million", "Float", "$1250.5"),
        ("The total is 1,234,567.", "Int", "1234567"),
        ("about 40", "Int", "40"),
        ("5th", "Int", "5"),
        ("5 kg", "Int", "5"),
        ("- 5", "Int", None),
        ("$ 5", "Int", "5"),
        ("Q3: 5", "Int", "5"),
        ("page 7", "Int", "7"),
        ("3 figures (page 7)", "Int", "3"),
        ("three", "Int", None),
        ("There are no figures.", "Int", None),
        ("18,3", "Float", None),
        ("65,0", "Float", None),
        ("2,5 %", "Float", None),
        ("1,23", "Int", None),
        ("12,34,567", "Int", None),
        ("1 204", "Int", None),
        ("10k", "Int", None),
        ("1.5M", "Float", None),
        ("2bn", "Float", None),
        ("H2O", "Int", None),
        ("v2", "Int", None),
        ("12:30", "Int", None),
        ("3/4", "Float", None),
        ("between 3 and 5", "Int", None),
        ("2-5", "Int", None),
        ("3 of the 7 figures on page 2", "Int", None),
        ("It grew by 12 % in 2019", "Float", None),
        ("It is shown in the table", "Float", None),
        ("", "Int", None),
        ("–5", "Int", "-5"),
        ("－5", "Int", "-5"),
        ("minus 3.5", "Float", "-3.5"),
        ("negative $3.5", "Float", "-$3.5"),
        (".5", "Float", ".5"),
        ("-.5", "Float", "-.5"),
        ("Total – 5", "Int", "5"),
        ("– 5", "Int", None),
        ("Total-5", "Int", None),
        ("COVID-19", "Int", None),
        ("The COVID-19 share is 5", "Int", "5"),
        ("Five (see page 3)", "Int", None),
        ("There are five figures on page 3", "Int", None),
        ("None of the 40 pages", "Int", None),
        ("There are no figures on page 3", "Int", None),
        ("It isn't 5", "Int", None),
        ("Twenty (20)", "Int", "20"),
        ("five (5)", "Int", "5"),
        ("5 (five)", "Int", "5"),
        ("No, there are 5", "Int", "5"),
    ],
)
def test_a_number_is_read_whole_or_not_at_all(response: str, answer_format: str, number: str | None) -> None:
    said = by_rules(response, answer_format)
    assert understood(said, answer_format) == (number is not None)
    assert number is None or said == number


@pytest.mark.parametrize("answer_format", ["Int", "Float", "Str", "List", "None"])
@pytest.mark.parametrize(
    "response",
    [
        "This cannot be answered from the document.",
        "This question can't be answered.",
        "It is not possible to answer this question.",
        "Impossible to determine",
        "I cannot answer this question based on the document.",
        "I'm unable to determine this from the pages.",
        "I could not find the answer in the document.",
        "Unanswerable",
        "Not mentioned in the report.",
        "It is not stated.",
        "The information is not provided in the document.",
        "No information is given about it.",
        "There is not enough information to answer",
        "The document does not mention the price.",
        "The provided document doesn't contain this information.",
        "The pages do not show how many.",
        "The text does not say; it is about 7 cats.",
        "Not answerable. The document mentions cats but not dogs",
        "Answer: **Not answerable** (see page 3)",
        "Based on the provided pages, not answerable",
        "According to the document, the question cannot be answered.",
    ],
)
def test_that_the_document_does_not_tell(response: str, answer_format: str) -> None:
    assert by_rules(response, answer_format) == NOT_ANSWERABLE
    assert understood(NOT_ANSWERABLE, answer_format)


@pytest.mark.parametrize(
    "response",
    [
        "The document does not mention the price, but the chart shows 5",
        "Not answerable. However, it is 5",
        "Not answerable questions",
        "Not mentioned by name",
        "Not found in Africa",
        "The document does not only mention cats",
        "Find the answer",
        "Not applicable",
        "In the report, Apple is not mentioned",
        "Nothing",
    ],
)
def test_other_negations_are_answers(response: str) -> None:
    assert by_rules(response, "Str") == response


@pytest.mark.parametrize("response", ["I cannot see any images.", "Sorry, but I can't assist with that."])
def test_a_model_that_sees_nothing_gives_no_answer(response: str) -> None:
    assert by_rules(response, "Int") == NO_ANSWER
    assert not understood(NO_ANSWER, "Str")


@pytest.mark.parametrize(
    ("response", "items"),
    [
        ("The fruits are Apple, Pear and Plum.", "['Apple', 'Pear', 'Plum']"),
        ("Fruits: Apple, Pear", "['Apple', 'Pear']"),
        ('["Apple", "Pear"] are the fruits.', "['Apple', 'Pear']"),
        ("Apple (page 3), Pear (page 4)", "['Apple', 'Pear']"),
        ("Apple\nPear\nPlum", "['Apple', 'Pear', 'Plum']"),
        ("1,200, 3,400", "['1,200', '3,400']"),
        ("Apple", "Apple"),
        ("Smith, John; Doe, Jane", "['Smith, John', 'Doe, Jane']"),
        ("[Apple; Pear]", "['Apple', 'Pear']"),
        ("[Apple, 'Pear']", None),
        ("['Apple', 'Pear'", None),
        ("{'Apple', 'Pear'}", None),
        ("[1, [2", None),
    ],
)
def test_a_list_is_read_whole_or_not_at_all(response: str, items: str | None) -> None:
    said = by_rules(response, "List")
    assert understood(said, "List") == (items is not None)
    assert items is None or said == items


def test_a_question_that_the_model_asks_itself_is_not_answered() -> None:
    assert by_rules("Answer: Less well-off\n\nQuestion: next?\nAnswer: More", "Str") == "Less well-off"
    assert by_rules("Question: what?\nAnswer: More", "Str") == "More"


@pytest.mark.parametrize("heading", ["**Final Answer**\n", "### Answer\n\n", "So it is.\n\n**Answer**\n", "Answer:\n"])
def test_a_heading_is_no_part_of_the_answer(heading: str) -> None:
    assert by_rules(f"{heading}Less well-off", "Str") == "Less well-off"
    assert by_rules("The answer\nis red", "Str") == "The answer\nis red"


def test_what_is_not_understood_scores_0_and_is_counted() -> None:
    doc = {"answer": "8", "answer_format": "Int", "extractor": None}
    assert task.scores(doc, "There are many.") == {"accuracy": 0.0, "unparsed": 1.0}
    assert task.scores(doc, "There are 8.") == {"accuracy": 1.0, "unparsed": 0.0}
    assert task.scores(doc, "There are 9.") == {"accuracy": 0.0, "unparsed": 0.0}
    # prose counts as answered in the official F1, as it did
    assert task.details(doc, "There are many.", {"accuracy": 0.0})["f1"]["pred"] == "There are many"


@few
@given(st.text("0123456789.,-+%$kMbn eE()[]{}'\"aA:\n", max_size=14), st.sampled_from(["Int", "Float"]))
def test_a_number_that_is_understood_stands_in_the_response(response: str, answer_format: str) -> None:
    said = by_rules(response, answer_format)
    if understood(said, answer_format) and said != NOT_ANSWERABLE:
        bare = said.replace("$", "").replace("%", "").replace(" ", "").lstrip("-+")
        # "0E+0" is written 0E0
        assert bare in re.sub(r"[, ]|(?<=[eE])\+", "", response)
