"""Kinds of stored values, and what a field must be beyond its type: pydantic's validators, each of which returns the
value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, with_config

from coreheads.heads.selections import KINDS, SIZED
from coreheads.text import TURNING, file_name, visible
from coreheads.validation import expected


def is_file_name(name: Any) -> Any:
    """A name that stays in its folder: what ``file_name`` makes."""
    if not isinstance(name, str) or file_name(name) != name:
        raise expected("a cell's name: letters, digits and _.=+- only")
    return name


Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Positive = Annotated[float, Field(ge=1e-12, le=1e9)]
Value = Annotated[float, Field(ge=-1e9, le=1e9)]
Name = Annotated[str, BeforeValidator(is_file_name)]
Plain = str | int | float | bool | None
Pair = Annotated[list[Count], Field(min_length=2, max_length=2)]
"""A head as [layer, query head], both from 0."""

known_fields = with_config(ConfigDict(strict=True, allow_inf_nan=False, extra="ignore"))
"""Other fields may stand beside those that are declared; they are not read."""
only_fields = with_config(ConfigDict(strict=True, allow_inf_nan=False, extra="forbid"))
"""No other field may."""


def are_plain(params: Any) -> Any:
    """A patch's settings by name."""
    if not isinstance(params, dict) or not all(isinstance(value, Plain) for value in params.values()):
        raise expected("names with texts and numbers")
    return params


def one_line(most: int, what: str) -> Callable[[str], str]:
    """A text that somebody has written to be shown: one line, of at most so many characters, in which nothing steers.

    what: it in words, as a message expects it.
    """

    def is_one_line(text: str) -> str:
        if not text.strip() or len(text) > most or visible(text) != text or text.translate(TURNING) != text:
            raise expected(f"{what}: one line of at most {most} characters that are seen")
        return text

    return is_one_line


def is_contact(text: str) -> str:
    """Where somebody can be asked."""
    form = r"https?://[^\s<>\"']{1,290}|[^\s<>\"'@:/]{1,100}@[^\s<>\"'@:/]{1,100}"
    if not re.fullmatch(form, text) or visible(text) != text:
        raise expected("an address: https://... or name@host")
    return text


def is_selection(kind: str) -> str:
    """A rule that picks heads."""
    if kind not in KINDS:
        raise expected(f"null or {', '.join(KINDS)}")
    return kind


def one_length(phases: Any) -> Any:
    """Phases of one variant, repeated equally often."""
    names = ["preprocess", "vision", "prefill", "decode", *(["select"] if phases.get("select") else [])]
    if len({len(phases[name]) for name in names}) > 1:
        raise expected("lists of one length: phases were repeated equally often")
    return phases


def as_often(times: Any) -> Any:
    """Variants that were measured in turns."""
    if len({len(phases["prefill"]) for phases in times.values() if phases is not None}) > 1:
        raise expected("dense, patched and ceiling repeated equally often: they were measured in turns")
    return times


def sized(cell: Any) -> Any:
    """A cell that has a fraction, or a budget, where its selection takes one."""
    if cell["selection"] in SIZED and cell["fraction"] is None and cell.get("budget") is None:
        raise expected(f"a cell with a fraction, which selection {cell['selection']} needs")
    return cell
