"""What a run folder's lines must look like: folders are shared, so what they say is checked before it is used.

Only reading a run folder imports this module (pydantic is slow to import).
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from coreheads.config.cells import Cell
from coreheads.errors import UserError, brief
from coreheads.heads.selections import KINDS
from coreheads.text import file_name

SCHEMA_VERSION = 1

Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Positive = Annotated[float, Field(ge=1e-12, le=1e9)]
Value = Annotated[float, Field(ge=-1e9, le=1e9)]


def _is_file_name(name: Any) -> Any:
    """A name that stays in its folder: what ``file_name`` makes."""
    if not isinstance(name, str) or file_name(name) != name:
        raise ValueError("a cell's name: letters, digits and _.=+- only")
    return name


_READ = ("model", "task", "patch", "params", "selection", "fraction", "draw", "heads")
"""Fields of a cell that every reader counts on."""

_Plain = str | int | float | bool | None

Name = Annotated[str, BeforeValidator(_is_file_name)]


class _Line(BaseModel):
    """Fields that are read; others may stand beside them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


class _Versioned(_Line):
    schema_version: int

    @model_validator(mode="after")
    def _readable(self) -> _Versioned:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {self.schema_version}, this version reads {SCHEMA_VERSION}")
        return self


class _Named(_Versioned):
    name: Name
    cell: dict[str, Any]
    failed: str | None = None

    @model_validator(mode="after")
    def _is_cell(self) -> _Named:
        missing = [name for name in _READ if name not in self.cell]
        if missing:
            raise ValueError(f"cell has no {missing[0]}")
        if self.cell["selection"] not in (None, *KINDS):
            raise ValueError(f"cell.selection is {brief(self.cell['selection'])}, expected null or {', '.join(KINDS)}")
        params = self.cell["params"]
        if not isinstance(params, dict) or not all(isinstance(value, _Plain) for value in params.values()):
            raise ValueError("cell.params, expected names with texts and numbers")
        try:
            # as JSON, where lists may stand for tuples however strict one is
            _cells().validate_json(json.dumps({**self.cell, "params": sorted(params.items())}))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise ValueError(f"cell.{_place(fault)}: {fault['msg']}") from None
        return self


class _Failed(_Named):
    failed: str


class _CellLine(_Named):
    heads: list[Annotated[list[Count], Field(min_length=2, max_length=2)]]
    metric: str
    n: Count
    score: Value | None = None
    seconds: Seconds | None = None
    unscored: Count | None = None
    unscored_example: str | None = None
    empty: Count | None = None
    empty_example: str | None = None
    nonfinite: Count | None = None
    over_context: Count | None = None
    tokens_median: Value | None = None
    kv_bytes_ratio: Value | None = None
    variant: str | None = None
    aggregates: dict[str, Value] | None = None


class _Phases(_Line):
    preprocess: list[Seconds]
    vision: list[Seconds]
    prefill: Annotated[list[Positive], Field(min_length=1)]
    decode: Annotated[list[Positive], Field(min_length=1)]

    @model_validator(mode="after")
    def _as_many(self) -> _Phases:
        if len({len(times) for times in (self.preprocess, self.vision, self.prefill, self.decode)}) > 1:
            raise ValueError("phases were repeated equally often, expected lists of one length")
        return self


class _Times(_Line):
    dense: _Phases
    patched: _Phases
    ceiling: _Phases | None = None


class _TimingLine(_Named):
    device: str
    prompt_tokens: Count
    decode_tokens: Count
    repeats: Count
    dense_kernel: str
    kv_bytes_ratio: Value | None
    peak_memory_ratio: Value | None
    times: _Times


class _SampleLine(_Versioned):
    record_id: str
    response: str
    score: Value
    scores: dict[str, Value] = {}
    prompt_tokens: Count
    margin: float | None = None
    group: str | None = None


class _LeftOutLine(_Versioned):
    record_id: str
    unscored: str
    by: Literal["data", "model"] = "data"


class _Machine(_Line):
    device: str = "cpu"
    name: str
    system: str


class _Invocation(_Line):
    started: str
    command: str
    versions: dict[str, str | None]
    revision: str | None
    machine: _Machine


class _Model(_Line):
    id: str
    name: Annotated[str, Field(min_length=1)]


class _Config(_Line):
    models: Annotated[list[_Model], Field(min_length=1)]
    device: str = "cpu"


class _Manifest(_Versioned):
    config: _Config
    invocations: Annotated[list[_Invocation], Field(min_length=1)]


def check_manifest(content: Any, path: Path) -> None:
    _check(_Manifest, content, f"{path}", "a manifest written by coreheads run")


def check_cell(record: Any, path: Path, number: int) -> None:
    kind = _Failed if isinstance(record, dict) and "failed" in record else _CellLine
    _check(kind, record, f"{path}: line {number}", "a cell written by coreheads run")


def check_timing(record: Any, path: Path, number: int) -> None:
    kind = _Failed if isinstance(record, dict) and "failed" in record else _TimingLine
    _check(kind, record, f"{path}: line {number}", "a measurement written by coreheads run")


def check_sample(line: Any, path: Path, number: int) -> None:
    kind = _LeftOutLine if isinstance(line, dict) and "unscored" in line else _SampleLine
    _check(kind, line, f"{path}: line {number}", "a sample written by coreheads run")


def _check(kind: type[BaseModel], value: Any, where: str, what: str) -> None:
    if not isinstance(value, dict):
        raise UserError(f"{where} is a {type(value).__name__}, expected {what}")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        text = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        field = _place(fault)
        if fault["type"] == "missing":
            raise UserError(f"{where}: has no {field}, expected {what}") from None
        if fault["type"] == "value_error" and not field:
            raise UserError(f"{where}: {text}") from None
        raise UserError(f"{where}: {field} is {brief(fault['input'])}, expected {text}") from None


def _place(fault: Any) -> str:
    return ".".join(str(part) for part in fault["loc"])


@lru_cache(maxsize=1)
def _cells() -> TypeAdapter[Cell]:
    return TypeAdapter(Cell)
