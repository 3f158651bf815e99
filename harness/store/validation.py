"""Run folders are given to others: what their files say is checked before it is used."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from coreheads.errors import UserError, brief
from coreheads.store.schema import SCHEMA_VERSION

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
        what: What was expected there, as a message ends: "a cell".

    Raises:
        UserError: It is none; names the field, its value and what was expected.
    """
    what = f"{what} written by coreheads run"
    if not isinstance(value, dict):
        raise UserError(f"{where} is a {type(value).__name__}, expected {what}")
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        *parents, name = [str(part) for part in fault["loc"]]
        field, owner = ".".join([*parents, name]), f"{'.'.join(parents)} has" if parents else "has"
        if fault["type"] == "missing":
            raise UserError(f"{where}: {owner} no {name}, expected {what}") from None
        if fault["type"] == "extra_forbidden":
            raise UserError(f"{where}: {owner} an unknown field {brief(name)}, expected {what}") from None
        text = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        raise UserError(f"{where}: {field} is {brief(fault['input'])}, expected {text}") from None
    if value["schema_version"] != SCHEMA_VERSION:
        version = value["schema_version"]
        raise UserError(f"{where}: schema_version is {version}, this version reads {SCHEMA_VERSION}")
    return value  # type: ignore[return-value]  # that is what was checked
