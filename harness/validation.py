"""What pydantic finds wrong, a line a fault: file, field, value, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from coreheads.errors import UserError, brief, nearest


@contextmanager
def validating(kind: type, source: str | Path, most: int | None = None, what: str = "") -> Iterator[None]:
    """Turn what pydantic says of ``kind`` within the block into a UserError.

    Args:
        kind: the model or TypedDict that is validated; its fields are suggested for unknown ones.
        source: the file, and the line where it has many records.
        most: how many faults are named; None is all.
        what: what was expected of the source as a whole, for messages about missing fields.
    """
    try:
        yield
    except ValidationError as error:
        faults = error.errors(include_url=False)
        outer = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
        # a list whose elements are wrong is also reported as too short: say only what is wrong inside
        own = [fault for fault in faults if fault["loc"] not in outer]
        raise UserError("\n".join(f"{source}: {_text(fault, kind, what)}" for fault in own[:most])) from None


def expected(what: str) -> PydanticCustomError:
    """What a validator of one field raises: the message says the field, its value, and ``what`` was expected."""
    return PydanticCustomError("expected", "{what}", {"what": what})


def _text(fault: ErrorDetails, kind: type, what: str) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    text = fault["msg"]
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
