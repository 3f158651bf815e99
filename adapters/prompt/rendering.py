"""From a conversation to the text of its prompt, and where in it the media stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from coreheads.adapters.prompt.encoding import outside
from coreheads.adapters.prompt.messages import Chat, Kind, Source
from coreheads.adapters.prompt.query import Place, Span
from coreheads.errors import UserError, one_line


def render(processor: Any, chat: Chat) -> str:
    """The chat template's text, up to where the answer begins; UserError where there is no template, or it fails."""
    try:
        return str(processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template may raise anything
        raise UserError(f"chat template: cannot show the messages ({one_line(error)})") from error


def written(chat: Chat, text: str, render: Callable[[Chat], str], words: Iterable[str]) -> list[tuple[Place, Span]]:
    """Where the chat's texts, without blanks at their ends, stand in ``text``, which ``render`` makes of the chat.

    In the order of the rendered text. Nothing where the template rewrites texts, so that nobody can tell; UserError
    where one of them then holds one of ``words``, which are the template's to write.
    """
    texts = [part["text"] for message in chat for part in message["content"] if part["type"] == "text"]
    private = map(chr, chain(range(0xE000, 0xF900), range(0xF0000, 0x10FFFE)))
    begin, number, end = islice((sign for sign in private if not any(sign in each for each in (text, *texts))), 3)
    places: list[Place] = []
    marked: Chat = []
    for at, message in enumerate(chat):
        content = []
        for index, part in enumerate(message["content"]):
            # within its blanks, which a template may trim
            if core := part.get("text", "").strip():
                before, after = part["text"].split(core, 1)
                part = {**part, "text": f"{before}{begin}{len(places)}{number}{core}{end}{after}"}
                places.append((at, index))
            content.append(part)
        marked.append({**message, "content": content})
    shown, found, length, last = render(marked), [], 0, 0
    pieces = []
    for match in re.finditer(f"{begin}([0-9]+){number}([^{begin}{number}{end}]*){end}", shown):
        pieces += [shown[last : match.start()], match[2]]
        length += len(pieces[-2])
        found.append((places[int(match[1])], (length, length + len(match[2]))))
        length, last = length + len(match[2]), match.end()
    if "".join([*pieces, shown[last:]]) == text:
        return found
    if held := [word for word in sorted(words) if any(word in each for each in texts)]:
        raise UserError(f"messages: a text holds {held[0]}, and the chat template rewrites texts")
    return []


def placeholders(text: str, words: Mapping[str, Kind], spans: Sequence[Span] = ()) -> list[tuple[Span, Kind]]:
    """Spans of the placeholders in the rendered text outside of ``spans``, in order, and what each stands for."""
    pattern = re.compile("|".join(map(re.escape, words)))
    matches = (match for part in outside(spans, len(text)) for match in pattern.finditer(text, *part))
    return [(match.span(), words[match.group()]) for match in matches]


def order(kinds: Sequence[Kind], sources: Sequence[Source]) -> list[int]:
    """For each placeholder, the number of its medium: templates may put images first, keeping each kind's order."""
    waiting = {kind: [n for n, source in enumerate(sources) if source.kind == kind] for kind in ("image", "video")}
    numbers = [waiting[kind].pop(0) if waiting[kind] else -1 for kind in kinds]
    if -1 in numbers or any(waiting.values()):
        raise UserError(f"chat template: shows {len(kinds)} media of {len(sources)}, expected each of them once")
    return numbers


def replaced(text: str, replacements: Sequence[tuple[Span, str]]) -> str:
    """The text with each span replaced, in text order."""
    pieces, last = [], 0
    for (start, end), new in replacements:
        pieces += [text[last:start], new]
        last = end
    return "".join([*pieces, text[last:]])
