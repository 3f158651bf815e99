"""From a conversation to the text of its prompt, and where in it the media stand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.adapters.prompt.messages import Chat, Kind, Source
from coreheads.adapters.prompt.query import Span
from coreheads.errors import UserError, one_line


def render(processor: Any, chat: Chat) -> str:
    """The chat template's text, up to where the answer begins; UserError where there is no template, or it fails."""
    try:
        return str(processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template may raise anything
        raise UserError(f"chat template: cannot show the messages ({one_line(error)})") from error


def placeholders(text: str, words: Mapping[str, Kind]) -> list[tuple[Span, Kind]]:
    """Spans of the placeholders in the rendered text, in order, and what each stands for."""
    return [(match.span(), words[match.group()]) for match in re.finditer("|".join(map(re.escape, words)), text)]


def order(kinds: Sequence[Kind], sources: Sequence[Source]) -> list[int]:
    """For each placeholder, the number of its medium: templates may put images first, keeping each kind's order."""
    waiting = {kind: [n for n, source in enumerate(sources) if source.kind == kind] for kind in ("image", "video")}
    numbers = [waiting[kind].pop(0) if waiting[kind] else -1 for kind in kinds]
    if -1 in numbers or any(waiting.values()):
        raise UserError(f"chat template: shows {len(kinds)} media of {len(sources)}, expected each of them once")
    return numbers


def refuse_placeholders(chat: Chat, words: Mapping[str, Kind]) -> None:
    """UserError where a text holds what stands for a medium."""
    for number, message in enumerate(chat):
        for word in words:
            if any(word in part.get("text", "") for part in message["content"]):
                raise UserError(f"messages[{number}]: the text holds {word}, which stands for a picture or video")


def replaced(text: str, replacements: Sequence[tuple[Span, str]]) -> str:
    """The text with each span replaced, in text order."""
    pieces, last = [], 0
    for (start, end), new in replacements:
        pieces += [text[last:start], new]
        last = end
    return "".join([*pieces, text[last:]])
