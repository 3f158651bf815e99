"""MMLongBench's measures (Wang et al. 2025; EdinburghNLP/MMLongBench): one for each kind of sub-task.

What the official post-processing does around them is done by ``score``: a response is scored as it stands and by what
follows its first "Answer:", and the better counts; document questions are scored by the latter alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from coreheads.errors import brief
from coreheads.tasks.mmlongbench.docqa import docqa, parsed_answer, plain, squeezed
from coreheads.tasks.reading.fields import is_whole, said
from coreheads.tasks.scoring.answers import answered

DEFAULTS = (0, 1, 1, 0)
"""What counts as answered, in turn, where a response says neither yes nor no."""

MOST_CHOICES = 10
"""Letters A to J are read."""

_WORD = re.compile(r"\b(?:yes|no)\b")
_DIGIT_LIST, _ANY_LIST = re.compile(r"\[[\d\s,]+\]"), re.compile(r"\[.*?\]", re.DOTALL)
_CHOICES = (
    re.compile(r"answer is \(?([A-J])\)?"),
    re.compile(r"[aA]nswer:\s*([A-J])"),
)
_LETTER = re.compile(r"\b[A-J]\b")


def score(response: str, answer: Any, metric: str, answer_format: str | None = None, number: int = 0) -> float:
    """0 to 1, by the sub-task's metric.

    Officially unreadable yes-or-no answers are filled in by turns in the order of evaluation, here by the record's
    number, so that a score does not depend on what else was asked.

    Args:
        response: The model's.
        answer: Text, texts, counts or an index, as the file has it.
        metric: docqa, binary, choice, count or contains.
        answer_format: Of document questions, see ``docqa.FORMATS``.
        number: The record's number in its file.
    """
    response = answered(response)
    if metric == "docqa":
        return docqa(str(answer), parsed_answer(response), str(answer_format))
    if metric == "binary":
        said = yes_or_no(response)
        return float((DEFAULTS[number % len(DEFAULTS)] if said is None else said) == yes_or_no(str(answer)))
    judge: dict[str, Callable[[str], bool]] = {
        "choice": lambda text: choice(text) == answer,
        "count": lambda text: sum(counts(text)) == sum(answer),
        "contains": lambda text: contains(text, answer),
    }
    return float(any(judge[metric](text) for text in (response, parsed_answer(response))))


def readable(response: str, metric: str) -> bool:
    """Whether a response has what the metric looks for."""
    response = answered(response)
    if metric == "binary":
        return yes_or_no(response) is not None
    if metric == "choice":
        return choice(response) is not None
    return bool(counts(response)) if metric == "count" else bool(response.strip())


def contains(response: str, answers: Any) -> bool:
    """Whether any of the answers (a text, texts, or lists of texts) stands in the response, both ``plain``."""
    said = plain(response)
    return any(plain(answer) in said for answer in _flat(answers))


def _flat(answers: Any) -> list[str]:
    if isinstance(answers, list):
        return [text for answer in answers for text in _flat(answer)]
    return [str(answers)]


def yes_or_no(text: str) -> int | None:
    """1 for yes, 0 for no, by the last of these words; a whole number stands for itself; else None."""
    words = squeezed(text)
    answers = _WORD.findall(words)
    if answers:
        return int(answers[-1] == "yes")
    return int(words) if words.isdigit() else None


def choice(text: str) -> int | None:
    """Index of the letter A to J that is answered: after "answer is" or "Answer:", else the last that stands alone."""
    line = " ".join(text.split())
    for pattern in _CHOICES:
        match = pattern.search(line)
        if match:
            return ord(match[1]) - ord("A")
    letters = _LETTER.findall(line)
    return ord(letters[-1]) - ord("A") if letters else None


def counts(text: str) -> list[int]:
    """The whole numbers of the last list in brackets; where there is none that can be read, all numbers."""
    words = squeezed(text)
    for pattern in (_DIGIT_LIST, _ANY_LIST):
        lists = pattern.findall(words)
        if lists:
            with suppress(ValueError):
                return list(_whole(json.loads(lists[-1])))
    return [int(digits) for digits in re.findall(r"\d+", words)]


def _whole(items: Iterable[Any]) -> Iterator[int]:
    for item in items:
        with suppress(TypeError, ValueError, OverflowError):
            yield int(item)


def check_answer(answer: Any, metric: str, answer_format: str | None, choices: int) -> None:
    """ValueError for a published answer that its metric cannot use; choices: how many pictures are offered."""
    if metric != "count":
        said(answer, "answer")
    if metric == "docqa":
        docqa(str(answer), "", str(answer_format))
    elif metric == "count" and not (isinstance(answer, list) and all(map(is_whole, answer))):
        raise ValueError(f"answer is {brief(answer)}, expected a list of whole numbers")
    elif metric == "choice" and not is_whole(answer):
        raise ValueError(f"answer is {brief(answer)}, expected the index of the right picture")
    elif metric == "choice" and not 0 <= answer < choices:
        raise ValueError(f"answer is {answer}, expected the index of one of {choices} choices")
    elif metric == "binary" and yes_or_no(str(answer)) is None:
        raise ValueError(f"answer is {brief(answer)}, expected yes or no")
    elif metric == "contains" and not _flat(answer):
        raise ValueError(f"answer is {brief(answer)}, expected at least one text")
