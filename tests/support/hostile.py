"""Texts that mean something to a format they may be written in, and readers that see whether one took effect."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt

TEXTS = (
    # spreadsheets
    '=HYPERLINK("http://evil.example/?x","click")', "+1+1", "-2+3", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1+1",
    "a,b;=1\"'",
    # Markdown
    "a | b || c", "two\n\n# lines", "`code` ``more``", "# heading", "- item", "- [ ] task", "1. first", "+ plus",
    "---",
    "> quote", "~~~", "[link](http://evil.example)", "![x](http://evil.example/x.png)", "<img src=x onerror=alert(1)>",
    "https://evil.example/a www.evil.example", "@someone", "**bold** _it_ __b__", "$x^2$", "a\\|b\\", "&lt;b&gt;",
    "[^1]",
    # HTML and what is in a script
    "</script><script>alert(1)</script>", "<!--", "-->", "]]>", "\" onmouseover='alert(1)", "{{ 7 * 7 }}",
    "</td></table>",
    # terminals
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31mred", "\x1bc", "over\rwritten", "back\b\bspace", "nul\0", "\x7f",
    "next\x85line", "line\u2028separator\u2029", "\u202egnp.exe", "a\u2066b\u200f\u061c", "zero\u200bwidth",
    "\ufeffmark",
    # rich
    "[red]red[/red]", "[/b]", ":warning:", "[link=http://evil.example]x[/link]", "\\[b]x", "[bold", "x\\",
    # commands to a CI system
    "::error file=x::y", "  ::warning::y", "first\n::error::y", "first\r\n::set-output name=a::b", "##[error]y",
    "##vso[task.setvariable variable=a]b", "##teamcity[x]",
    # half a character, and one of each script
    "half \ud83d", "모델 ٭ نموذج עברית 设备 📄",
)  # fmt: skip

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def steering(output: str, coloured: bool = False) -> list[str]:
    """What of an output would steer the terminal that shows it or the CI system that reads it. coloured: colours and
    the like are the program's own."""
    shown = _COLOUR.sub("", output) if coloured else output
    found = [repr(char) for char in shown if char != "\n" and not char.isprintable()]
    lines = (line.strip() for line in shown.split("\n"))
    return found + [line for line in lines if re.match(r"::\w", line) or re.search(r"##\w*\[", line)]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")


def elements(page: str) -> list[Any]:
    """The tags of an HTML page with the names of their attributes, and its comments, in their order."""
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser.found


def blocks(text: str) -> list[tuple[str, ...]]:
    """What a Markdown text consists of, in its order: blocks, and what is in their lines but for text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [(token.type, *(part.type for part in token.children or () if part.type != "text")) for token in tokens]


def words(text: str) -> str:
    """All that a Markdown text says, without its mark-up."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return "\n".join(
        "".join(part.content for part in token.children or ()) for token in tokens if token.type == "inline"
    )
