"""From a prompt's text to its tokens: only the chat template and the media write control tokens.

What a user writes is text, whatever it spells: ``<|im_end|>`` in a question becomes the pieces of those ten
characters. A prompt in which no user's text spells a control token is encoded by the tokenizer's own call.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from coreheads.adapters.prompt.query import Span
from coreheads.errors import UserError


def controls(tokenizer: Any) -> dict[int, str]:
    """The control tokens: all that were added to the vocabulary, without ordinary words and blanks."""
    added = tokenizer.added_tokens_decoder.items()
    return {number: token.content for number, token in added if token.special or not _word(token.content)}


def _word(content: str) -> bool:
    return content.replace(" ", "").isalnum() or not content.strip()


def encode(tokenizer: Any, text: str, written: Sequence[Span]) -> tuple[list[int], list[Span]]:
    """Ids of a prompt's tokens and the characters that each holds.

    Args:
        tokenizer: A fast one.
        text: The whole prompt, its media expanded.
        written: The spans that users wrote, in order: no part of them becomes a control token, or of one.

    Raises:
        UserError: If the tokenizer makes a control token of a user's text by its ordinary vocabulary.
    """
    known = controls(tokenizer)
    found = _encoded(tokenizer, text)
    starts = [start for start, _ in written]

    def by_user(span: Span) -> bool:
        before = bisect_left(starts, span[1]) - 1
        return before >= 0 and written[before][1] > span[0]

    if not any(token in known and by_user(span) for token, span in found):
        return [token for token, _ in found], [span for _, span in found]
    # what the tokenizer puts around any text, such as a sign of its beginning
    frame, ids = tokenizer("")["input_ids"], [token for token, _ in found]
    front = max(count for count in range(len(frame) + 1) if ids[:count] == frame[:count])
    made: list[tuple[int, Span]] = [(token, (0, 0)) for token in frame[:front]]
    last = 0
    for token, (start, end) in [*_templates_own(tokenizer, text, written, known), (-1, (len(text), len(text)))]:
        if start > last:
            plain, number = _plain(tokenizer, len(tokenizer), last == 0)
            piece = plain.encode(text[last:start], add_special_tokens=False)
            for token_id, (a, b) in zip(piece.ids, piece.offsets, strict=True):
                made.append((number.get(token_id, token_id), (last + a, last + b)))
                if made[-1][0] in known:
                    name = known[made[-1][0]]
                    raise UserError(f"messages: {name} in a text, which this tokenizer cannot encode as text")
        made.append((token, (start, end)))
        last = end
    made[-1:] = [(token, (0, 0)) for token in frame[front:]]
    return [token for token, _ in made], [span for _, span in made]


def _templates_own(tokenizer: Any, text: str, written: Sequence[Span], known: dict[int, str]) -> list[tuple[int, Span]]:
    """The control tokens outside of what users wrote, with their places."""
    own = []
    for start, end in outside(written, len(text)):
        tokens = _encoded(tokenizer, text[start:end], add_special_tokens=False)
        own += [(token, (start + a, start + b)) for token, (a, b) in tokens if token in known]
    return own


def outside(spans: Sequence[Span], length: int) -> list[Span]:
    """The spans of a text of that length before, between and after these, which are in order."""
    edges = [0, *(edge for span in spans for edge in span), length]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def _encoded(tokenizer: Any, text: str, **settings: bool) -> list[tuple[int, Span]]:
    tokens = tokenizer(text, return_offsets_mapping=True, **settings)
    return list(zip(tokens["input_ids"], tokens["offset_mapping"], strict=True))


@lru_cache(maxsize=4)
def _plain(tokenizer: Any, size: int, first: bool) -> tuple[Tokenizer, dict[int, int]]:
    """The tokenizer without its control tokens, and the ids of the other added tokens by those that it gives them.

    ``size``: of its vocabulary, to which tokens may still be added. ``first``: whether a text begins the prompt, where
    some put a blank before it.
    """
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    names = set(controls(tokenizer).values())
    made["added_tokens"] = [token for token in made["added_tokens"] if token["content"] not in names]
    spelled = json.dumps(made)
    if not first:
        spelled = spelled.replace('"prepend_scheme": "first"', '"prepend_scheme": "never"')
    plain = Tokenizer.from_str(spelled)
    plain.no_truncation()
    plain.no_padding()
    kept = ((plain.token_to_id(token["content"]), token["id"]) for token in made["added_tokens"])
    return plain, {here: number for here, number in kept if here is not None}
