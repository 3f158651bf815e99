"""MMLongBench's rule-based score of document questions (its v1.0; v1.1 asks a language model instead).

Whole numbers and fractions count where the response has the number anywhere; texts by the F1 of their words, so that
there is partial credit; lists by the mean over their parts. It is not MMLongBench-Doc's score: no edit distance.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

FORMATS = ("Integer", "Float", "String", "List", "None")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")  # all of ASCII's
_ANSWER = re.compile(r"answer:", re.IGNORECASE)
_UNITS = ("kg", "meters", "acres", "minutes", "miles", "mile", "feet", "million", "thousand", "billion", "mm", "m")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)")
_EXACT = re.compile(
    r"https://"
    r"|\.(?:py|ipynb)$"
    r"|^page"
    r"|^\d+(?:[-\s]\d+)?$"
    r"|[ap]\.m\."
    r"|^\d{4}[-/\s]\d{1,2}(?:[-/\s]\d{1,2})?$"
    r"|^\d{1,2}[-/\s]\d{1,2}[-/\s]\d{2,4}$"
    r"|^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$"
)


def docqa(answer: str, response: str, answer_format: str) -> float:
    """0 to 1: how well ``response`` gives ``answer``. ValueError for an answer that is not of its format."""
    if answer_format == "Integer":
        truth = float(bare(answer))
        if truth != int(truth):
            raise ValueError(f"answer is {answer!r}, expected a whole number")
        return float(any(number == int(truth) for number in _numbers(bare(response))))
    if answer_format == "Float":
        truth = float(bare(answer))
        return float(any(_close(truth, number) for number in _numbers(bare(response))))
    if answer_format in ("String", "None"):
        return float(answer in response) if _EXACT.search(answer) else word_f1(response, answer)
    if answer_format == "List":
        parts = json.loads(answer)
        if not isinstance(parts, list) or not parts or any(isinstance(part, list | bool) for part in parts):
            raise ValueError(f"answer is {answer!r}, expected a JSON list of texts and numbers")
        return _mean_of_parts(parts, response)
    raise ValueError(f"answer_format is {answer_format!r}, expected one of {', '.join(FORMATS)}")


def _mean_of_parts(parts: list[Any], response: str) -> float:
    """Mean over the parts' scores; plain texts are joined first and count as one part."""
    texts = [part for part in parts if isinstance(part, str) and _kind(part) == "String" and not _EXACT.search(part)]
    joined = " ".join(texts).strip()
    if joined:
        parts = [joined, *(part for part in parts if part not in texts)]
    return sum(docqa(str(part), response, _kind(part)) for part in parts) / len(parts)


def _kind(part: Any) -> str:
    """Integer, Float or String; texts count as the number that they are."""
    if isinstance(part, int | float):
        return "Integer" if isinstance(part, int) else "Float"
    try:
        number = float(bare(part))
        whole = number == int(number)
    except (ValueError, OverflowError):
        return "String"
    return "Integer" if whole and "%" not in part else "Float"


def parsed_answer(response: str) -> str:
    """What follows the first "Answer:", less a second one, or the whole response."""
    match = _ANSWER.search(response)
    said = response[match.end() if match else 0 :].strip()
    again = _ANSWER.match(said)
    return said[again.end() if again else 0 :].strip()


def squeezed(text: str) -> str:
    """Lower case, without articles and doubled blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower()).split())


def plain(text: str) -> str:
    """``squeezed``, without punctuation."""
    return squeezed(_PUNCTUATION.sub("", text.lower()))


def word_f1(response: str, answer: str) -> float:
    """F1 of the words, without case, punctuation and articles, each counted as often as it stands there."""
    said, truth = (plain(text).split() for text in (response, answer))
    shared = sum((Counter(said) & Counter(truth)).values())
    return 2 * shared / (len(said) + len(truth)) if shared else 0.0


def bare(text: str) -> str:
    """Lower case, without commas, one unit of each kind at the end, a quotation mark at either end, $, pounds and %."""
    words = text.lower().strip().replace(",", "")
    for unit in _UNITS:
        words = words.removesuffix(unit).strip()
    words = re.sub(r"^['\"]|['\"]$", "", words).strip()
    for sign in "$£%":
        words = words.strip().strip(sign).strip()
    return words


def _numbers(text: str) -> list[float]:
    numbers = [float(match) for match in _NUMBER.findall(text)]
    return [number for number in numbers if math.isfinite(number)]


def _close(truth: float, said: float) -> bool:
    """Within 1 % of the number, a hundredth or a hundredfold of it."""
    return any(math.isclose(value, said, rel_tol=0.01) for value in (truth / 100, truth, truth * 100))
