"""What is wrong with a configuration, a line each: file, field, value, what was expected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from coreheads.errors import brief, nearest


def faults(error: ValidationError, source: Path, model: type[BaseModel]) -> list[str]:
    """Every fault that pydantic has found in the file ``source``, as one line."""
    found = error.errors(include_url=False)
    places = [fault["loc"] for fault in found]
    # a list whose elements are wrong is also reported as too short: say only what is wrong inside
    own = [fault for fault in found if not any(_inside(place, fault["loc"]) for place in places)]
    return [_line(source, fault, model) for fault in own]


def _inside(place: tuple[Any, ...], outer: tuple[Any, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _line(source: Path, fault: Any, model: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in fault["loc"]) or "the file"
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{source}: {field} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{source}: {field} is not a known field{nearest(fault['loc'][-1], _fields(model, fault['loc'][:-1]))}"
    if fault["type"] == "value_error":
        return f"{source}: {field}: {text}"
    text = text.removeprefix("Input should be ")
    near = ""
    if fault["type"] == "literal_error":
        near = nearest(fault["input"], re.findall(r"'([^']+)'", str(fault["ctx"]["expected"])))
    return f"{source}: {field} is {brief(fault['input'])}, expected {text}{near}"


def _fields(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """Names of the fields that the section at this place may have; none where it is no section."""
    schema = model.model_json_schema()
    node: Any = schema
    for part in (*place, None):
        if isinstance(node, dict) and "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        if part is not None and isinstance(node, dict):
            node = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    return list(node.get("properties", ())) if isinstance(node, dict) else []
