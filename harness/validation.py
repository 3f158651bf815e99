"""What pydantic finds wrong, a line a fault: file, field, value, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from coreheads.errors import UserError, brief, nearest


@contextmanager
def validating(
    kind: type, source: str | Path, most: int | None = None, what: str = "", given: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Turn what pydantic says of ``kind`` within the block into a UserError.

    Args:
        kind: the model or TypedDict that is validated; its fields are suggested for unknown ones.
        source: the file, and the line where it has many records.
        most: how many faults are named; None is all.
        what: what was expected of the source as a whole, for messages about missing fields.
        given: fields that another source gave, such as an option of the command line, by their dotted names.
    """
    try:
        yield
    except ValidationError as error:
        faults = error.errors(include_url=False)
        outer = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
        # a list whose elements are wrong is also reported as too short: say only what is wrong inside
        own = [fault for fault in faults if fault["loc"] not in outer]
        lines = (f"{_source(fault, given or {}) or source}: {_text(fault, kind, what)}" for fault in own[:most])
        raise UserError("\n".join(lines)) from None


def expected(what: str) -> PydanticCustomError:
    """What a validator of one field raises: the message says the field, its value, and ``what`` was expected."""
    return PydanticCustomError("expected", "{what}", {"what": what})


def _source(fault: ErrorDetails, given: Mapping[str, str]) -> str:
    """Which of the other sources gave the field, or what it lies in; empty where none did."""
    loc = [".".join(map(str, fault["loc"][:depth])) for depth in range(len(fault["loc"]), 0, -1)]
    return next((given[name] for name in loc if name in given), "")


def _text(fault: ErrorDetails, kind: type, what: str) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    text = fault["msg"].partition(", unable to parse")[0]
    for start in ("Value error, ", "Input should be ", "List should have ", "Tuple should have "):
        text = text.removeprefix(start)
    if fault["type"] == "missing":
        return f"{field} is missing{f', expected {what}' if what else ''}"
    if fault["type"] == "extra_forbidden":
        return f"{field} is not a known field{nearest(fault['loc'][-1], _fields(kind, fault['loc'][:-1]))}"
    if fault["type"] == "value_error":
        return f"{field}: {text}" if field else text
    near = nearest(fault["input"], re.findall("'([^']+)'", text)) if fault["type"] == "literal_error" else ""
    return f"{field or 'the file'} is {brief(fault['input'])}, expected {text}{near}"


def _fields(kind: type, location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields that the section at this location may have; none where it is no section."""
    schema = TypeAdapter(kind).json_schema()
    node: Any = schema
    for part in (*location, None):
        if isinstance(node, dict) and "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        if part is not None and isinstance(node, dict):
            node = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    return list(node.get("properties", ())) if isinstance(node, dict) else []
