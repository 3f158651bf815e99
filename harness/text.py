"""Text for people and for files: of models and data, where it must stay text; of numbers; of names.

Whatever comes from elsewhere (a model, a record, a name, a path, a foreign folder, an error's text) goes through the
function of the format that it is written in.
"""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_COMMAND = re.compile(r"(?<!\S)::(?=\w)|##(?=\w*\[)")
"""How commands begin: ``::error`` at a line's start, ``##[error]`` anywhere (GitHub, Azure, TeamCity)."""
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F])
"""Marks that turn the direction of writing: a name that holds one would turn the figures after it."""


def encodable(text: str) -> bool:
    """Whether it is made of characters: half of a surrogate pair, which a JSON escape may name, is none."""
    return not _HALF.search(text)


def visible(text: str) -> str:
    """One line for a terminal or a log, in which nothing steers: characters that are not printed are shown as codes,
    line breaks and marks that turn the direction of writing among them, and so are beginnings of commands to a CI."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _COMMAND.sub(lambda match: f"{match.group()[0]}\\x{ord(match.group()[1]):x}", shown)


def for_rich(text: str) -> str:
    """The same for rich's consoles, tables and bars: without markup, and no command wherever it is folded."""
    from rich.markup import escape

    return escape(visible(text).replace("::", r":\x3a"))


def markdown(text: Any) -> str:
    """One line of GitHub-flavoured Markdown that shows ``text``: no tag, link, mark-up, mention, formula, block of its
    own or end of a cell."""
    plain = visible(" ".join(str(text).translate(TURNING).split()))
    plain = re.sub(r"[\\`*\[\]|~#$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain)
    plain = re.sub(r"^(\d*)([-+.)])(?=[-\s]|$)", r"\1\\\2", plain)  # a list, a line
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"(?i)\bwww\.", lambda match: f"{match.group()[:-1]}&#46;", plain.replace("://", "&#58;//"))


def markdown_code(text: str) -> str:
    """A code span of Markdown that shows ``text``, on one line."""
    plain = visible(text.translate(TURNING))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}{plain}{fence}" if fence == "`" and plain.strip() else f"{fence} {plain} {fence}"


def vega_title(text: str) -> str:
    """A title of an axis, a legend or a tooltip: Vega-Lite writes it into an expression and leaves backslashes as they
    are, so that they would begin an escape there."""
    return visible(text).replace("\\", "\\\\")


def csv_cell(text: str) -> str:
    """A cell of one line that no spreadsheet takes for a formula: it is told by an apostrophe that it is text."""
    plain = visible(text.translate(TURNING))
    return f"'{plain}" if _FORMULA.match(plain) else plain


def json_text(value: Any, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """JSON whose lines end only where it says so, and which steers no terminal: UTF-8 but for characters that are not
    seen, and half characters, which UTF-8 has no bytes for. NaN and infinities are refused, because JSON has none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return _UNSEEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def file_name(text: str) -> str:
    """``text`` with nothing a file system or a shell could stumble over, shortened without becoming ambiguous."""
    safe = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", text).strip("-.") or "unnamed"
    if safe == text and len(safe) <= 150:
        return safe
    from hashlib import sha256

    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe[:140]}-{digest[:8]}"


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def gib(size: float) -> str:
    """Bytes for people."""
    if size >= 2**30:
        return f"{size / 2**30:.1f} GiB"
    return f"{size / 2**20:.0f} MiB" if size >= 10 * 2**20 else f"{size / 2**20:.1f} MiB"
