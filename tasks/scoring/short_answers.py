"""Reading short answers off responses about a document: a number, some words, a list, or that it does not tell."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress

from coreheads.tasks.scoring.answers import after_answer, number

RULES = "rules-3"
"""Name of the rules below; changed when they change."""

NOT_ANSWERABLE, NO_ANSWER = "Not answerable", "Fail to answer"
"""What stands for a response that says that the document does not tell, and for one that gives no answer."""

_OPENING = re.compile(r"^(?:so|thus|therefore)?,?\s*the (?:final |correct )?answer is\s*:?\s*", re.IGNORECASE)
# neither a part of a word or a longer number ("H2O", "GPT-4", "18,3") nor thousands by a letter ("10k")
_NUMBER = re.compile(
    r"(?:(?<![A-Za-z])[-+])?\$?\s?(?<![A-Za-z\d])(?<![A-Za-z\d][.,])(?<![A-Za-z][-+])"
    r"(?:(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?\s?%?"
    r"(?!\.?\d|,\d|[A-Za-z]*\d|\s?(?:[kKMB]|bn|mn)\b)",
    re.ASCII,
)
_DASH = re.compile(r"(?<=\S)\s+[-−–—]\s+")
_MINUS = re.compile(r"(?:[−–—﹣－]|\b(?:minus|negative)\b\s?)(?=\s?\$?\.?\d)", re.IGNORECASE)
_OTHER = re.compile(
    r"\b(?:no(?![,.])|none|not|neither|never|without|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|dozen)\b(?!\s*\($)|n['’]t\b",
    re.IGNORECASE,
)
_SUBJECT = (
    r"(?:(?:unfortunately|sorry|no)\b,?\s*)?"
    r"(?:(?:the|this|that)\s+(?:question|answer|information|value)\s+|(?:it|this|i|there)\b\s*)?"
)
_SOURCE = r"(?:the|this|that|these)\s+(?:\w+\s+){0,2}?(?:document|pages?|report|paper|text|slides?|context|pdf)s?\s+"
_UNANSWERABLE = re.compile(
    rf"\W*(?:(?:based\s+on|according\s+to|from|in)\s+[^,.;\n]{{1,80}},\s*)?(?:{_SUBJECT}(?:(?:is|was|are|am|['’]m|be)\s+)?(?:"
    r"(?:not\s+answerable|unanswerable)"
    r"(?=\W*$|\s*[.,;:!(\n–—-]|\s+(?:because|since|as|from|based|given|by|in|with)\b)"
    r"|(?:cannot|can\s+not|can['’]t|could\s+not|couldn['’]t)\s+(?:be\s+)?"
    r"(?:answer|determine|infer|find|found|derive)\w*"
    r"|(?:not\s+possible|impossible|unable)\s+to\s+(?:answer|determine|say|tell|infer)"
    r"|not\s+(?:mentioned|specified|stated|given|provided|available|found|disclosed|reported)\b"
    r"(?=\W*(?:$|\n)|[.,;]|\s+(?:in\s+(?:the|this|that|these|any)|anywhere)\b)"
    r"|not\s+enough\s+information|insufficient\s+information|no\s+(?:such\s+)?information)"
    rf"|{_SOURCE}(?:(?:does|do|did)\s+not|doesn['’]t|don['’]t)\s+(?:explicitly\s+|clearly\s+)?"
    r"(?:mention|provide|specify|state|contain|include|give|say|tell|answer|disclose|report|show|have)\w*)"
    r"(?![-\w])",
    re.IGNORECASE,
)
# in the same sentence, or at the beginning of the next
_HOWEVER = re.compile(
    r"[^.\n]*(?:[.\n]\s*)?\b(?:but|however|though|although|instead|except|nevertheless)\b", re.IGNORECASE
)
_UNSEEN = re.compile(
    r"\W*(?:sorry,?\s*)?(?:but\s+)?i\s*(?:['’]m\s+|am\s+)?"
    r"(?:cannot|can\s+not|can['’]t|unable\s+to|could\s+not|couldn['’]t)\s+"
    r"(?:read|see|view|open|access|understand|process|assist|help)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\s*\([^()]*\)|\b(?:on|see|from|in)\s+(?:page|figure|table|slide|section)\s+\d+", re.IGNORECASE)
_CLAUSE = re.compile(
    r"(?:the|these|they|those|it)\b[^,;]*?\b(?:are|is|were|was|includes?)\s*:?\s+(?=\S)", re.IGNORECASE
)
_FENCE = re.compile(r"```(?:json|python)?")
_LIST = re.compile(r"(?:^|[:=]|\b(?:is|are))\s*(\[.*\])\s*\.?\s*$|^(\[[^\[\]]*\])\s+[^\[\]]*$", re.DOTALL)
_BULLET = re.compile(r"\s*(?:[-*•+]|\d+[.)])\s+(\S.*)")
_WORDS = 4
"""Lines of at most so many words are items of a list."""
_COMMA, _SEMICOLON = re.compile(r",\s+(?:and\s+)?|,(?!\d)"), re.compile(r";\s*(?:and\s+)?")


def by_rules(response: str, answer_format: str) -> str:
    """The short answer in a response, without asking a model.

    What follows the last "Answer:" counts, or the whole response; of it the first paragraph, without "the answer is",
    asterisks, a last full stop, and thousands' commas in a number. That the document does not tell becomes the official
    string, with or without a reason, unless "but" follows; that nothing can be seen becomes ``NO_ANSWER``. Where the
    question's ``answer_format`` is Int or Float and the first line has exactly one number, apart from brackets and
    references to pages, and no other in words or negation before it, the number. Where it is List, see ``_items``.
    """
    whole = after_answer(response).replace("**", "").strip()
    said = whole.strip("*_` ").split("\n\n")[0].strip()
    said = _OPENING.sub("", said).strip().strip("*_` ")
    if _UNSEEN.match(said):
        return NO_ANSWER
    if (refusal := _UNANSWERABLE.match(said)) and not _HOWEVER.match(said, refusal.end()):
        return NOT_ANSWERABLE
    if answer_format in ("Int", "Float"):
        line = _MINUS.sub("-", _DASH.sub("; ", said.split("\n")[0]))
        for text in (line, _REASON.sub("", line)):
            numbers = list(_NUMBER.finditer(text))
            # "five, see page 3" and "none of the 40" say another number; "- 3" may be a bullet, or below 0
            found = numbers[0][0] if len(numbers) == 1 else "- "
            if not found.startswith(("- ", "+ ")) and not _OTHER.search(text, 0, numbers[0].start()):
                return re.sub(r"[\s,$+]", "", found) if answer_format == "Int" else found.replace(",", "").strip()
    if answer_format == "List" and (items := _items(_OPENING.sub("", whole), said)):
        return str(items)
    return said.removesuffix(".").strip()


def _items(whole: str, paragraph: str) -> list[object]:
    """The items of a list in brackets, of bullets, short lines, or a line with commas; empty where it is none."""
    text = _FENCE.sub("", whole).strip().translate({0x201C: '"', 0x201D: '"'})
    if match := _LIST.search(text):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                items = parse(match[1] or match[2])
                return items if isinstance(items, list) else []
        text = (match[1] or match[2])[1:-1]
        return [] if re.search(r"[\[\]'\"]", text) else list(_parts(text))
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = [match[1].strip("*_ ").removesuffix(".") for line in lines if (match := _BULLET.fullmatch(line))]
    if bullets and len(bullets) >= len(lines) - (lines[0].rstrip(" *").endswith(":")):
        return list(bullets)
    rows = [line.strip() for line in paragraph.splitlines() if line.strip()]
    if len(rows) > 1 and not any(row.endswith((".", ":", ",")) or len(row.split()) > _WORDS for row in rows):
        return list(rows)
    line = rows[0].removesuffix(".") if rows else ""
    line = line if line.startswith("(") else _REASON.sub("", line)
    if any(sign in line for sign in "[(]){}"):
        return []
    line = _CLAUSE.sub("", line, count=1) if _CLAUSE.match(line) else line
    line = re.sub(r"^[^:,;]*:\s+", "", line) if line.count(":") == 1 else line
    items = _parts(line)
    last = items[-1].split(" and ") if items else []
    return [*items[:-1], *last] if len(last) <= 2 and len(items) + len(last) > 2 else []


def _parts(line: str) -> list[str]:
    """What a line lists; commas within what semicolons set apart do not."""
    return [item.strip() for item in (_SEMICOLON if ";" in line else _COMMA).split(line) if item.strip()]


def understood(said: str, answer_format: str) -> bool:
    """Whether a short answer is of its format: a number where one is wanted, a list that can be read as one."""
    if not said or said == NO_ANSWER:
        return False
    if said == NOT_ANSWERABLE:
        return True
    if answer_format in ("Int", "Float"):
        return number(said.replace("$", "").strip().rstrip("%")) is not None
    if answer_format == "List" and ("[" in said or "{" in said):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return isinstance(ast.literal_eval(said), list)
        return False
    return True
