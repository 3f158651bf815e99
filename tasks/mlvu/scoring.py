"""MLVU's measure: accuracy of the chosen option, averaged over the kinds of question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coreheads.tasks.scoring.answers import after_answer, answered, folded
from coreheads.tasks.scoring.means import macro

_OPENING = re.compile(
    r"(?:the\s+)?(?:(?:best|correct|right|final)\s+)?(?:answer|option|choice)\b(?:\s+is\b)?\s*:?\s*(?:option\b\s*)?",
    re.IGNORECASE,
)
_LETTER = re.compile(r"\(([A-H])\)|\(?([A-H])(?:[).:,、]|[ \t]*(?:[\r\n]|$))", re.IGNORECASE)
_ANOTHER = re.compile(
    r"[).]*\s*(?:[,、/&\n]|or\b|and\b)\s*(?:or\b|and\b)?\s*\(?[A-H](?:[).:,、]|\s*$|[ \t]*\n|\s+(?:or|and)\b)",
    re.IGNORECASE,
)


def m_avg(rows: Iterable[Mapping[str, Any]]) -> float:
    """M-Avg: the plain mean over the question types present of their accuracies.

    rows: {"question_type", "score"}. A type without any sample does not count (the official script and lmms-eval
    divide by 7 whatever was asked).
    """
    return macro({"group": row["question_type"], "score": row["score"]} for row in rows)


def read_option(response: str, candidates: Sequence[str]) -> int | None:
    """The index of the option that a response names, None where it names none.

    A response that is an option's very text (blanks, case and a last full stop aside) means that option; any other
    is read by the letter it begins with, where that stands alone: "(B)", "(B) 7", "B.", "B" also before a new line.
    Fullwidth letters and brackets are ASCII's. Asterisks are passed over, as are words such as "Answer:", "The answer
    is", "Option"; what follows the last "Answer:" counts, and nothing that a model says while it reasons. Several
    letters ("A, B") name no option.
    """
    plain = [_plain(candidate) for candidate in candidates]
    response = answered(response)
    if _plain(response) in plain:
        return plain.index(_plain(response))
    said = after_answer(folded(response).replace("*", "").replace("`", "")).strip()
    said = _OPENING.sub("", said, count=1) if _OPENING.match(said) else said
    if _plain(said) in plain:
        return plain.index(_plain(said))
    letter = _LETTER.match(said)
    if letter is None or _ANOTHER.match(said, letter.end(letter.lastindex or 0)):
        return None
    index = ord(letter[letter.lastindex or 0].upper()) - ord("A")
    return index if index < len(candidates) else None


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
