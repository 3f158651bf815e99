"""Run folders are given to others: what their files say is checked before it is used."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from coreheads.errors import UserError
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.validation import validating

Stored = TypeVar("Stored")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type[Stored], value: Any, where: str, what: str, by: str = "run") -> Stored:
    """The value itself where it is a record of this kind.

    Args:
        kind: A TypedDict of ``store.schema`` or ``store.provenance``.
        value: What a file holds.
        where: The file and line, as a message begins.
        what: What was expected there: "a cell".
        by: The command that writes such files.

    Raises:
        UserError: It is none; names the field, its value and what was expected.
    """
    what = f"{what} written by coreheads {by}"
    if not isinstance(value, dict):
        raise UserError(f"{where} is a {type(value).__name__}, expected {what}")
    with validating(kind, where, most=1, what=what):
        _adapter(cast(Hashable, kind)).validate_python(value)
    if value["schema_version"] != SCHEMA_VERSION:
        version = value["schema_version"]
        raise UserError(f"{where}: schema_version is {version}, this version reads {SCHEMA_VERSION}")
    return value  # type: ignore[return-value]  # that is what was checked
