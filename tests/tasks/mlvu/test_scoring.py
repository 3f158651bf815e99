"""MLVU's score, and which option an answer names."""

from __future__ import annotations

import pytest

from coreheads.errors import UserError
from coreheads.tasks.mlvu import scoring as mlvu
from coreheads.tasks.scoring.options import read_option


@pytest.mark.parametrize(
    ("response", "option"),
    [
        ("7", 1), (" 7 ", 1), ("7.", 1), ("(B)", 1), ("B", 1), ("B.", 1), ("(b) 7", 1), ("Best option: (B)", 1),
        ("(D", 3), ("D)", 3), ("(F)", None), ("E", None), ("9", None), ("", None), ("Because of that", None),
        ("A dog", None), ("Answer: B", 1), ("**B**", 1), ("**Answer:** (B) 7", 1), ("The answer is (B).", 1),
        ("The correct answer is **B**.", 1), ("Option B", 1), ("Answer: option D", 3), ("The answer is 7.", 1),
        ("I see a 7.\n\nAnswer: B", 1), ("A man walks", None), ("The answer is a man", None), ("Answer: E", None),
        ("Answers differ", None), ("Option", None), ("B\n\nIt is 7.", 1), ("B\nA man counts", 1), ("B \r\nso", 1),
        ("（B）", 1), ("Ｂ", 1), ("（Ｂ） 7", 1), ("Answer：B", 1), ("B、7", 1), ("A man\nB", None), ("A, B", None),
        ("(A) or (B)", None), ("A\nB\nC", None), ("A, B and C", None), ("B. A man", 1), ("B, and 7", 1),
        ("A</think>B", 1), ("7</think>\n\nB", 1), ("<think>A", None), ("<think>\nAnswer: A", None),
    ],
)  # fmt: skip
def test_read_option(response: str, option: int | None) -> None:
    assert read_option(response, ["3", "7", "1", "0"]) == option


def test_six_options_are_read() -> None:
    options = ["Fighting", "Explosion", "Robbery", "Shooting", "Stealing", "Arson"]
    assert read_option("(F) Arson", options) == 5
    assert read_option("arson", options) == 5


def test_m_avg_is_over_the_types_present() -> None:
    rows = [{"question_type": "a", "score": score} for score in (1, 1, 1, 0)]
    assert mlvu.m_avg([*rows, {"question_type": "b", "score": 0}]) == pytest.approx((0.75 + 0) / 2)
    assert mlvu.m_avg(rows) == 0.75
    with pytest.raises(UserError):
        mlvu.m_avg([])
