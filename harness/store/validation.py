"""Run folders are given to others: what their files say is checked before it is used."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from coreheads.errors import UserError
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.validation import validating

Stored = TypeVar("Stored")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type[Stored], value: Any, where: str, what: str) -> Stored:
    """The value itself where it is a record of this kind.

    Args:
        kind: A TypedDict of ``store.schema``.
        value: What a file holds.
        where: The file and line, as a message begins.
        what: What it is: "a cell".

    Raises:
        UserError: It is none; names the field, its value and what was expected.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} is a {type(value).__name__}, expected {what} written by coreheads run")
    with validating(kind, where, most=1):
        _adapter(kind).validate_python(value)
    if value["schema_version"] != SCHEMA_VERSION:
        version = value["schema_version"]
        raise UserError(f"{where}: schema_version is {version}, this version reads {SCHEMA_VERSION}")
    return value  # type: ignore[return-value]  # that is what was checked
