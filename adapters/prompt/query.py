"""Query tokens: where the query's own characters ended up in ``input_ids``.

The rule. The query, without blanks at its ends, is looked for in the texts of the user's messages, from the last
text backwards; the first text that has it counts. When that text has it several times, the last occurrence that is
not a part of a longer word counts ("cat" is not looked for in "concatenate"), or the last one if all are. A token
counts when it holds at least one of the query's characters; so the token of a word with the blank before it counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from coreheads.adapters.prompt.messages import Chat
from coreheads.errors import UserError

Span = tuple[int, int]
Place = tuple[int, int]
"""A text of a chat: the message's number, and the part's in it."""

_NO_SPACES = 0x2E80
"""From this code point on scripts write words without blanks between them (CJK and Kana), so that a neighbouring
letter says nothing about the word's end."""


def query_span(query: str, chat: Chat, rendered: str, written: Sequence[tuple[Place, Span]]) -> Span:
    """Where the query begins and ends in ``rendered``, in which the chat's texts are ``written``.

    UserError where the query is blank, or no text of a user's message has it.
    """
    if not isinstance(query, str):
        raise UserError(f"query: {query!r}, expected a part of the prompt's text")
    query = query.strip()
    if not query:
        raise UserError("query: is blank, expected a part of the prompt's text")
    parts = [(number, index) for number, turn in enumerate(chat) for index in range(len(turn["content"]))]
    for message, part in reversed(parts):
        content = chat[message]["content"]
        if chat[message]["role"] != "user" or content[part]["type"] != "text":
            continue
        text = content[part]["text"]
        if (inside := _last_occurrence(query, text)) is None:
            continue
        spans = [span for place, span in written if place == (message, part)]
        if len(spans) != 1 or rendered[slice(*spans[0])] != text.strip():
            raise UserError(f"query: {query!r} stands in a text that the chat template rewrites")
        # templates may trim a text: count from the text's first visible character
        start = spans[0][0] + inside - (len(text) - len(text.lstrip()))
        return start, start + len(query)
    raise UserError(f"query: {query!r} does not stand in any text of a user's message")


def _last_occurrence(query: str, text: str) -> int | None:
    start = last = text.rfind(query)
    while start >= 0:
        if not (_joined(text, start) or _joined(text, start + len(query))):
            return start
        start = text.rfind(query, 0, start + len(query) - 1)
    return last if last >= 0 else None


def _joined(text: str, cut: int) -> bool:
    """Whether the characters before and after ``cut`` belong to one word."""
    if not 0 < cut < len(text):
        return False
    return all(letter.isalnum() and ord(letter) < _NO_SPACES for letter in text[cut - 1 : cut + 1])


def expanded(span: Span, replacements: Sequence[tuple[Span, str]]) -> Span:
    """The span after the processor has replaced each placeholder (its span, its replacement), in text order."""
    shift = sum(len(new) - (end - start) for (start, end), new in replacements if end <= span[0])
    return span[0] + shift, span[1] + shift


def query_tokens(
    query: str, at: Span, replacements: Sequence[tuple[Span, str]], offsets: Sequence[Sequence[int]]
) -> list[int]:
    """Positions of the query's tokens in the finished prompt; UserError where it is part of a character's token."""
    found = token_positions(expanded(at, replacements), offsets)
    if not found:
        raise UserError(f"query: {query!r} is part of another character's token, expected whole characters")
    return found


def token_positions(span: Span, offsets: Sequence[Sequence[int]]) -> list[int]:
    """Positions of the tokens that hold a character of the span, ascending; ``offsets`` are the tokens' spans."""
    return [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
