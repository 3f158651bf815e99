"""MMLongBench-Doc's measures: graded answers by answer format, accuracy and F1, quirks of the official script kept."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from coreheads.tasks.scoring.short_answers import NOT_ANSWERABLE

ANLS_THRESHOLD = 0.5

_EXACT = (
    re.compile(r"\d+(?:[-\s]\d+)?"),  # a telephone number; any whole number, too
    re.compile(r"\d{4}[-\s]\d{2}(?:[-\s]\d{2})?"),  # a date
    re.compile(r"[\w.%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", re.ASCII),  # an e-mail address
)


def score_answer(answer: Any, prediction: Any, answer_format: str) -> float:
    """0 to 1: how well ``prediction`` gives ``answer``.

    Int: whole numbers agree (of "7.9" and 7, because the prediction is cut). Float: within 1 %, or equal when rounded,
    as the number itself, a hundredth or a hundredfold of the truth. Str and None: ANLS (0 at 0.5 or less, so partial
    credit above), but equality for addresses, dates, numbers, "page ...". List: the worst ANLS of the sorted items, or
    equality when the first is a number or such; 0 when the lengths differ. What cannot be read scores 0, as in the
    official run. Lists are read as literals, never evaluated.

    Args:
        answer: As published.
        prediction: The short answer that was extracted from the response.
        answer_format: Int, Float, Str, None or List.
    """
    try:
        if answer_format == "Int":
            try:
                return float(int(answer) == int(float(prediction)))
            except (ValueError, TypeError, OverflowError):
                return float(answer == "")  # the official script compares with an empty text then
        if answer_format == "Float":
            return float(_close(float(clean(answer)), float(clean(prediction))))
        if answer_format in ("Str", "None"):
            truth, said = clean(answer), clean(prediction)
            return float(truth == said) if must_be_exact(truth) else anls(truth, said)
        return _score_list(_as_list(answer), _as_list(prediction))
    except (ValueError, TypeError, SyntaxError, OverflowError, IndexError, MemoryError, RecursionError):
        return 0.0


def accuracy_f1(rows: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """(accuracy, F1) of rows {"answer", "pred", "score"}; rows without a score are left out.

    Accuracy is the mean score. Recall is the score summed over answerable questions by their number, precision the
    same sum by the number of predictions that are not exactly "Not answerable". F1 is 0 where one is undefined.
    """
    scored = [row for row in rows if "score" in row]
    if not scored:
        return 0.0, 0.0
    accuracy = sum(row["score"] for row in scored) / len(scored)
    answerable = [row for row in scored if row["answer"] != NOT_ANSWERABLE]
    answered = sum(row["pred"] != NOT_ANSWERABLE for row in scored)
    gained = sum(row["score"] for row in answerable)
    if not answerable or not answered or not gained:
        return accuracy, 0.0
    recall, precision = gained / len(answerable), gained / answered
    return accuracy, 2 * recall * precision / (recall + precision)


def clean(text: Any) -> str:
    """Lower case; without parentheses and their text, one quotation mark at either end, $ before and % after.

    The units mile(s) and million stay: the official script means to cut them and drops the result.
    """
    words = re.sub(r"\s*\([^)]*\)", "", str(text).lower().strip()).strip()
    words = re.sub(r"^['\"]|['\"]$", "", words).strip()
    return words.lstrip("$").strip().rstrip("%").strip()


def must_be_exact(text: str) -> bool:
    """Whether a true answer is of a kind where nearly right is wrong."""
    return (
        "https://" in text
        or text.endswith((".py", "ipynb"))
        or text.startswith("page")
        or "a.m." in text
        or "p.m." in text
        or any(pattern.fullmatch(text) for pattern in _EXACT)
    )


def anls(truth: str, said: str) -> float:
    """1 - edit distance / longer length; 0 when that is at most ANLS_THRESHOLD."""
    longer = max(len(truth.upper()), len(said.upper()))  # as officially: some letters have longer capitals
    similarity = 1.0 - (edit_distance(truth, said) / longer if longer else 0.0)
    return similarity if similarity > ANLS_THRESHOLD else 0.0


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's: insertions, deletions and replacements of one character each."""
    above = list(range(len(b) + 1))
    for row, left in enumerate(a, 1):
        current = [row]
        for column, right in enumerate(b, 1):
            keep = above[column - 1] + (left != right)
            current.append(min(keep, above[column] + 1, current[-1] + 1))
        above = current
    return above[-1]


def _decimals(number: float) -> int:
    text = str(number)
    return len(text.rsplit(".", 1)[1]) if "." in text else 3


def _close(truth: float, said: float) -> bool:
    for value in (truth / 100, truth, truth * 100):
        if math.isclose(value, said, rel_tol=0.01):
            return True
        decimals = max(min(_decimals(said), _decimals(value)), 2)
        if round(said, decimals) == round(value, decimals):
            return True
    return False


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("["):
        value = ast.literal_eval(value)
    return value if isinstance(value, list) else [value]


def _score_list(truth: list[Any], said: list[Any]) -> float:
    if len(truth) != len(said):
        return 0.0
    wanted, given = sorted(map(clean, truth)), sorted(map(clean, said))
    if _is_number(wanted[0]) or must_be_exact(wanted[0]):
        return float("-".join(wanted) == "-".join(given))
    return min(anls(one, other) for one, other in zip(wanted, given, strict=True))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
