"""Run folders are given to others: what their files say is checked before it is used."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from coreheads.errors import UserError, brief
from coreheads.store.schema import (
    SCHEMA_VERSION,
    CellRecord,
    FailureRecord,
    Manifest,
    SampleRecord,
    TimingRecord,
    UnscoredRecord,
)

_adapter = lru_cache(maxsize=None)(TypeAdapter)


def check_manifest(content: Any, path: Path) -> Manifest:
    return _checked(Manifest, content, f"{path}", "a manifest written by coreheads run")


def check_cell(record: Any, path: Path, number: int) -> CellRecord | FailureRecord:
    kind = FailureRecord if isinstance(record, dict) and "failed" in record else CellRecord
    return _checked(kind, record, f"{path}: line {number}", "a cell written by coreheads run")


def check_timing(record: Any, path: Path, number: int) -> TimingRecord | FailureRecord:
    kind = FailureRecord if isinstance(record, dict) and "failed" in record else TimingRecord
    return _checked(kind, record, f"{path}: line {number}", "a measurement written by coreheads run")


def check_sample(line: Any, path: Path, number: int) -> SampleRecord | UnscoredRecord:
    kind = UnscoredRecord if isinstance(line, dict) and "unscored" in line else SampleRecord
    return _checked(kind, line, f"{path}: line {number}", "a sample written by coreheads run")


def _checked(kind: Any, value: Any, where: str, what: str) -> Any:
    """The value itself, or UserError that names the place, the field, its value and what was expected."""
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
    return value
