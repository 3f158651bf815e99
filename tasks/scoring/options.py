"""Reading the option of a multiple-choice question that a response names, by its letter or by its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coreheads.tasks.scoring.answers import after_answer, answered, folded

_OPENING = re.compile(
    r"(?:the\s+)?(?:(?:best|correct|right|final)\s+)?(?:answer|option|choice)\b(?:\s+is\b)?\s*:?\s*(?:option\b\s*)?",
    re.IGNORECASE,
)
_LETTER = re.compile(r"\(([A-H])\)|\(?([A-H])(?:[).:,、]|[ \t]*(?:[\r\n]|$))", re.IGNORECASE)
_ANOTHER = re.compile(
    r"[).]*\s*(?:[,、/&\n–—-]|or\b|and\b|vs\b\.?)\s*(?:or\b|and\b)?\s*(?:maybe\b|perhaps\b)?\s*"
    r"\(?[A-H](?:[).:,、]|\s*$|[ \t]*\n|\s+(?:or|and)\b)"
    r"|[).]*\s*(?:\([A-H]\)|[A-H][).:])",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"[).:,\s]*(?:(?:is|are|was|looks?|seems?|can|could|would)\s+)*(?:be\s+)?"
    r"(?:not|cannot|(?:is|are|was|can|could|would)n['’]?t|wrong|incorrect|false|ruled\s+out|excluded|unlikely)\b"
    r"|.*\b(?:no|wait|actually|correction|sorry|I\s+mean|second\s+thoughts?)\b[^A-Za-z(]*"
    r"(?:(?:it\s+(?:is|should\s+be)|it['’]s|that\s+is|(?:the\s+)?(?:correct\s+)?answer\s+is)\s+)?\(?[A-H](?:[).:,]|\s*$)",
    re.IGNORECASE | re.DOTALL,
)


def read_option(response: str, candidates: Sequence[str]) -> int | None:
    """The index of the option that a response names, None where it names none.

    A response that is an option's very text (blanks, case and a last full stop aside) means that option; any other
    is read by the letter it begins with, where that stands alone: "(B)", "(B) 7", "B.", "B" also before a new line.
    Fullwidth letters and brackets are ASCII's. Asterisks are passed over, as are words such as "Answer:", "The answer
    is", "Option"; what follows the last "Answer:" counts, and nothing that a model says while it reasons. Several
    letters ("A, B", the options written out again) name no option, nor does one that is taken back ("(A) is wrong").
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
    if letter is None:
        return None
    index = ord(letter[letter.lastindex or 0].upper()) - ord("A")
    if index >= len(candidates) or _written_out(said, candidates) > 1:
        return None
    own = re.compile(r"[).:,、\s]*" + _words(candidates[index]), re.IGNORECASE).match(said, letter.end())
    end = own.end() if own else letter.end(letter.lastindex or 0)
    return None if (not own and _ANOTHER.match(said, end)) or _TAKEN_BACK.match(said, end) else index


def _written_out(said: str, candidates: Sequence[str]) -> int:
    """How many options stand there with their letter and their text."""
    forms = (rf"(?<!\w)\(?{chr(65 + index)}[).:]+\s*{_words(text)}" for index, text in enumerate(candidates))
    return sum(re.search(form, said, re.IGNORECASE) is not None for form in forms)


def _words(text: str) -> str:
    """A pattern of a text, whatever its blanks; that of a whole word at its end."""
    return r"\s+".join(map(re.escape, folded(text).rstrip(" .").split())) + r"(?!\w)"


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
