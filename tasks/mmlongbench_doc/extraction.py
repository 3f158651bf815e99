"""From a model's response to the short answer that is scored: by rules, or by another model.

Officially GPT-4o reads the response and names the answer. Which of the two was used is the result's ``variant``;
figures of different variants do not compare.
"""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any

from coreheads.errors import UserError
from coreheads.tasks.mmlongbench_doc.scoring import NOT_ANSWERABLE
from coreheads.tasks.scoring.answers import after_answer, answered

RULES = "rules-2"
"""Name of the rules below; changed when they change."""

_OPENING = re.compile(r"^(?:so|thus|therefore)?,?\s*the (?:final |correct )?answer is\s*:?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\$?\s?\d[\d,]*(?:\.\d+)?\s?%?")
_UNANSWERABLE = re.compile(
    r"\W*(?:the question (?:is|was) |it is |this (?:question )?is )?not answerable"
    r"(?:\W*$|\s*[.,;:!(\n–—-](?!\s*(?:but|however|though|although)\b)|\s+(?:because|since|as|from|based|given|by)\b)",
    re.IGNORECASE,
)
_REASON = re.compile(r"\s*\([^()]*\)|\b(?:on|see|from|in)\s+(?:page|figure|table|slide|section)\s+\d+", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json|python)?")
_LIST = re.compile(r"(?:^|[:=]|\b(?:is|are))\s*(\[.*\])\s*\.?\s*$", re.DOTALL)
_BULLET = re.compile(r"\s*(?:[-*•+]|\d+[.)])\s+(\S.*)")
_COMMA = re.compile(r",\s+(?:and\s+)?|;\s*|,(?!\d)")


def by_rules(response: str, answer_format: str) -> str:
    """The short answer in a response, without asking a model.

    What follows the last "Answer:" counts, or the whole response; of it the first paragraph, without "the answer is",
    asterisks, a last full stop, and thousands' commas in a number. "not answerable", with or without a reason, becomes
    the official string. Where the question's ``answer_format`` is Int or Float and the first line has exactly one
    number, apart from brackets and references to pages, the number. Where it is List, see ``_items``.
    """
    whole = after_answer(response).strip()
    said = whole.strip("*_` ").split("\n\n")[0].strip()
    said = _OPENING.sub("", said).strip().strip("*_` ")
    if _UNANSWERABLE.match(said):
        return NOT_ANSWERABLE
    if answer_format in ("Int", "Float"):
        line = said.split("\n")[0].replace("−", "-")
        for text in (line, _REASON.sub("", line)):
            numbers = _NUMBER.findall(text)
            if len(numbers) == 1:
                found = str(numbers[0])
                return re.sub(r"[\s,$+]", "", found) if answer_format == "Int" else found.replace(",", "").strip()
    if answer_format == "List" and (items := _items(_OPENING.sub("", whole), said)):
        return str(items)
    return said.removesuffix(".").strip()


def _items(whole: str, paragraph: str) -> list[object]:
    """The items of a list in brackets, of bullets, or of a line with commas; empty where it is none of these."""
    text = _FENCE.sub("", whole).strip().translate({0x201C: '"', 0x201D: '"'})
    if match := _LIST.search(text):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                items = parse(match[1])
                return items if isinstance(items, list) else []
        text = match[1][1:-1]
        return [] if re.search(r"[\[\]'\"]", text) else [item.strip() for item in _COMMA.split(text) if item.strip()]
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = [match[1].strip("*_ ").removesuffix(".") for line in lines if (match := _BULLET.fullmatch(line))]
    if bullets and len(bullets) >= len(lines) - (lines[0].rstrip(" *").endswith(":")):
        return list(bullets)
    line = paragraph.split("\n")[0].removesuffix(".").strip()
    if "[" in line or "(" in line:
        return []
    items = [item.strip() for item in _COMMA.split(line) if item.strip()]
    last = items[-1].split(" and ") if items else []
    return [*items[:-1], *last] if len(last) <= 2 and len(items) + len(last) > 2 else []


INSTRUCTION = (
    "Below are a question about a document and somebody's response to it. Write down, and nothing else, the short "
    "answer that the response gives: a number as digits, several things as a Python list of strings, anything else as "
    f'few words as possible. If the response says that the document does not tell, write "{NOT_ANSWERABLE}". If it '
    'gives no answer at all, write "Fail to answer".'
)


def by_model(question: str, response: str, model: str, url: str | None) -> str:
    """The short answer as another model reads it, over an OpenAI-compatible interface.

    Args:
        question: The task's.
        response: The evaluated model's.
        model: Name of the one that is asked.
        url: Of the interface; None is OpenAI's own. The key is where the openai package looks for it.

    Raises:
        UserError: The model cannot be asked.
    """
    from openai import OpenAIError

    try:
        completion = _client(url).chat.completions.create(
            model=model,
            temperature=0,
            max_tokens=256,
            messages=[
                {"role": "system", "content": INSTRUCTION},
                {"role": "user", "content": f"Question: {question}\nResponse: {answered(response)}"},
            ],
        )
    except OpenAIError as error:
        raise UserError(f"options.extractor: {model} cannot be asked ({str(error).splitlines()[0]})") from None
    return str(completion.choices[0].message.content or "").strip()


@lru_cache(maxsize=4)
def _client(url: str | None) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=url)
