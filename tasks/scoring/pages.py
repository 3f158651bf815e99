"""Reading page numbers: the list in brackets that a prompt asks for, else a response that names pages and no more."""

from __future__ import annotations

import re
from typing import Any

from coreheads.tasks.scoring.answers import after_answer, folded

_LONGEST_RANGE = 1000
# of text as ``_series`` spaces it, so that no blank can be matched in two ways
_ONE = r"[\"']?(?:(?:pages?:?|pp?\.) ?)?#?(\d{1,9})(?:\.0+)?(?:(?:[-–—]| to | through )(\d{1,9}))?[\"']?"
_ITEM = re.compile(_ONE, re.IGNORECASE)
_JOINT = r"(?:[,;](?:and )?| and |,?&)"
_SERIES = re.compile(rf"{_ONE}(?:{_JOINT}{_ONE})*", re.IGNORECASE)
_MENTION = re.compile(rf"\b(?=p(?:ages?|p?\.)){_ONE}(?:{_JOINT}{_ONE})*(?!\w|[.,]\d)", re.IGNORECASE)
_GOES_ON = re.compile(r",? (?:or|and) #?\d")
_OPEN = re.compile(r"\[\s*\d")
_GROUPED = re.compile(r"(\b(?:page|p\.)\s*)(\d{1,3}(?:,\d{3})+)(?![,\d]*\d)", re.IGNORECASE)
_UNCLEAR = re.compile(r"(?<!\d)\d{1,3},\d{3}(?!\d)")
_LIST = re.compile(r"\[([^\[\]]*)\]")
_LISTS = re.compile(rf"{_LIST.pattern}(?:\s*,?\s*{_LIST.pattern})*")
_MARK = re.compile(r"^[ \t]*(?:[-*•+]|\d+[.)])[ \t]+(?=\S)", re.MULTILINE)
_NEGATION = re.compile(r"\b(?:not?|none|neither|never|without|except)\b|n['’]t\b", re.IGNORECASE)


def page_of(value: Any) -> int | None:
    """One page's number: whole and at least 1, as a number or a text such as "7" or "Page 7"; else None."""
    said = f"{value:g}" if isinstance(value, float) else folded(str(value)).strip()
    pages = _series(_ungrouped(said if "," not in said or "page" in said.lower() else f"page {said}"))
    return pages[0] if len(pages) == 1 else None


def pages_of(response: str) -> list[int]:
    """The page numbers that a response gives, in order and each once, as they are written; empty where it is unclear.

    The list in brackets counts that the response starts or ends with, or the only one. Without brackets all of the
    response must be page numbers ("7, 3 and 9", "Pages 7-9", a line for each), or its prose must name pages only once
    and negate nothing ("... is on page 7"). A range is read as all its pages, "Page 1,204" as one.
    """
    said = folded(after_answer(response)).replace("```json", "").replace("```", "").strip("*_ \n")
    lists = list(_LISTS.finditer(said))
    if _OPEN.search(_LIST.sub("", said)):  # lists in lists, one that is cut off
        return []
    if lists:
        edges = {match[0] for match in lists if not match.start() or match.end() == len(said.rstrip("."))}
        chosen = [lists[0][0]] if len(lists) == 1 else list(edges)
        return _series(", ".join(_LIST.findall(chosen[0]))) if len(chosen) == 1 else []
    said = _ungrouped(_MARK.sub("", said).removesuffix("."))
    if _UNCLEAR.search(said):
        return []
    lines = [line.strip().removesuffix(".").strip(" ,") for line in said.splitlines() if line.strip()]
    if pages := _series(", ".join(lines)):
        return pages
    said = _spaced(said)
    mentions = list(_MENTION.finditer(said))
    if len(mentions) != 1 or _NEGATION.search(said):
        return []
    pages, named, rest = _series(mentions[0][0]), mentions[0][0].lower(), said[mentions[0].end() :]
    # "page 7 and 3 tables", "page 7 or 9"
    counted = len(pages) > 1 and named.count("p") == 1 and not named.startswith(("pages", "pp")) and rest[:1] == " "
    return [] if counted or _GOES_ON.match(rest) else pages


def _ungrouped(text: str) -> str:
    """The text without the commas between the thousands of one page's number."""
    return _GROUPED.sub(lambda match: match[1] + match[2].replace(",", ""), text)


def _spaced(text: str) -> str:
    """The text with single blanks, and none beside the signs that join pages."""
    return re.sub(r" ?([,;&#–—-]) ?", r"\1", " ".join(text.split()))


def _series(text: str) -> list[int]:
    """Pages and ranges, joined by commas or "and"; empty unless all of the text is that."""
    said, pages = _spaced(text), dict[int, None]()
    for match in _ITEM.finditer(said) if _SERIES.fullmatch(said) else []:
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= first + _LONGEST_RANGE:
            return []
        pages |= dict.fromkeys(range(first, last + 1))
    return list(pages)
