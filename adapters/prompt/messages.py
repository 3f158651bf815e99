"""Chat messages: what may stand in them, and the media they hold in prompt order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from coreheads.adapters.value_checks import is_number
from coreheads.errors import UserError
from coreheads.media.video import Video
from coreheads.text import encodable

ROLES = ("system", "user", "assistant")
Messages = Sequence[Mapping[str, Any]]
Chat = list[dict[str, Any]]
"""Messages as a chat template takes them: role and a list of parts, media without their content."""
Kind = Literal["image", "video"]


@dataclass(frozen=True)
class Source:
    """One image or video part of the messages, not opened yet, with its place in the messages, for errors.

    Of a video the seconds from ``start`` (None is its beginning) up to ``end`` (None is its end) are shown.
    """

    kind: Kind
    value: Image.Image | Video | Path
    where: str
    start: float | None = None
    end: float | None = None

    @property
    def name(self) -> str:
        return str(self.value) if isinstance(self.value, Path) else f"{self.kind} at {self.where}"

    def same_as(self, other: Source) -> bool:
        """Whether both show the same pixels; pictures and videos in memory are compared pixel by pixel."""
        if (self.kind, self.start, self.end) != (other.kind, other.start, other.end):
            return False
        if self.value is other.value:
            return True
        return type(self.value) is type(other.value) and bool(self.value == other.value)


def same_media(left: Sequence[Source], right: Sequence[Source]) -> bool:
    """Whether both show the same pixels in the same order."""
    return len(left) == len(right) and all(a.same_as(b) for a, b in zip(left, right, strict=True))


def parse(messages: Messages) -> tuple[Chat, list[Source]]:
    """The messages for a chat template, and their media; UserError says where something else than those stands."""
    if not messages or isinstance(messages, (str, Mapping)):
        raise UserError(f"messages: {messages!r}, expected a list of messages, each with a role and a content")
    chat: Chat = []
    sources: list[Source] = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, Mapping) else message
            raise UserError(f"{where}.role: {role!r}, expected one of {', '.join(ROLES)}")
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]  # some templates drop a content that is a plain text
        if not isinstance(content, Sequence):
            raise UserError(f"{where}.content: {content!r}, expected a text or a list of parts")
        parts = [_part(part, f"{where}.content[{index}]", sources) for index, part in enumerate(content)]
        chat.append({"role": message["role"], "content": parts})
    return chat, sources


def _part(part: Any, where: str, sources: list[Source]) -> dict[str, str]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        text = part.get("text")
        if not isinstance(text, str) or not encodable(text):
            raise UserError(f"{where}.text: {text!r}, expected a text")
        return {"type": "text", "text": text}
    if kind == "image":
        if part.get("start") is not None or part.get("end") is not None:
            raise UserError(f"{where}: has start or end, but is an image, expected them of a video only")
        sources.append(Source("image", _value(part, kind, where, Image.Image), where))
        return {"type": "image"}
    if kind == "video":
        value = _value(part, kind, where, Video)
        start, end = _seconds(part, "start", where), _seconds(part, "end", where)
        if start is not None and end is not None and start >= end:
            raise UserError(f"{where}: start is {start} and end is {end}, expected start < end")
        sources.append(Source("video", value, where, start, end))
        return {"type": "video"}
    raise UserError(f"{where}.type: {kind!r}, expected text, image or video")


def _value(part: Mapping[str, Any], kind: str, where: str, in_memory: type) -> Any:
    keys = [key for key in (kind, "url", "path") if part.get(key) is not None]
    if len(keys) != 1:
        raise UserError(f"{where}: has {' and '.join(keys) or 'no source'}, expected one of {kind}, url, path")
    value = part[keys[0]]
    if isinstance(value, (in_memory, Path)):
        return value
    if not isinstance(value, str) or not value.strip():
        expected = "a PIL image or a path" if kind == "image" else "a path"
        shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
        raise UserError(f"{where}.{keys[0]}: {shown}, expected {expected}")
    if value.startswith("file://"):
        return Path(value.removeprefix("file://"))
    if "://" in value or value.startswith("data:"):
        raise UserError(
            f"{where}.{keys[0]}: {value[:80]!r} is not a local file, and nothing is fetched from the network"
        )
    return Path(value)


def _seconds(part: Mapping[str, Any], name: str, where: str) -> float | None:
    value = part.get(name)
    if value is None:
        return None
    if not is_number(value):
        raise UserError(f"{where}.{name}: {value!r}, expected seconds")
    return float(value)
