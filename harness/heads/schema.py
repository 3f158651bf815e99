"""heads.json: its schema, the check of every field, and its text form (one layer a line)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

from coreheads.errors import UserError

SCHEMA_VERSION = 1
NORMALIZATIONS = (None, "vision", "lift")

_MODEL_NUMBERS = ("layers", "heads", "kv_heads")
_LEVEL_FIELDS = ("mean", "ci_low", "ci_high")


class ModelIdentity(TypedDict):
    """Whose heads these are."""

    id: str
    revision: str | None
    model_type: str
    layers: int
    heads: int
    kv_heads: int


class TaskRecord(TypedDict):
    """What one task contributed. ``mean`` is [layers][heads] over its ``n`` samples."""

    split: str
    n: int
    records_hash: str
    mean: list[list[float]]
    skipped: NotRequired[dict[str, int]]


def check(data: Any, source: str) -> dict[str, Any]:
    """``data`` itself when it is a valid profile; otherwise UserError naming ``source``, the field and the
    value."""
    profile = _mapping(data, source, "the file")
    version = _present(profile, "schema_version", source)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise UserError(f"{source}: schema_version is {version!r}, expected {SCHEMA_VERSION}")
    shape = _check_model(_mapping(_present(profile, "model", source), source, "model"), source)
    _text(_present(profile, "score", source), source, "score")
    if (value := _present(profile, "normalization", source)) not in NORMALIZATIONS:
        raise UserError(f"{source}: normalization is {_short(value)}, expected null, 'vision' or 'lift'")
    for name in _LEVEL_FIELDS:
        _matrix(_present(profile, name, source), shape, source, name)
    for layer in range(shape[0]):
        for head in range(shape[1]):
            low, high = profile["ci_low"][layer][head], profile["ci_high"][layer][head]
            if low > high:
                raise UserError(f"{source}: ci_low[{layer}][{head}] is {low}, above its ci_high, {high}")
    half = _present(profile, "split_half", source)
    if half is not None and not -1 <= _number(half, source, "split_half") <= 1:
        raise UserError(f"{source}: split_half is {half}, expected null or a correlation between -1 and 1")
    _mapping(_present(profile, "provenance", source), source, "provenance")
    for name, task in _mapping(_present(profile, "tasks", source), source, "tasks").items():
        _check_task(_mapping(task, source, f"tasks.{name}"), shape, source, f"tasks.{name}")
    return cast(dict[str, Any], profile)


def to_text(profile: Mapping[str, Any]) -> str:
    """JSON text in which a list of numbers takes one line, so that a layer is a line and a diff can be
    read."""
    return _render(profile, "") + "\n"


def _render(value: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(value, Mapping) and value:
        names = [json.dumps(str(key), ensure_ascii=False) for key in value]
        parts = [_render(part, inner) for part in value.values()]
        lines = [f"{inner}{name}: {part}" for name, part in zip(names, parts, strict=True)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, list | Mapping) for part in value):
        return "[\n" + ",\n".join(inner + _render(part, inner) for part in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _check_model(model: Mapping[str, Any], source: str) -> tuple[int, int]:
    for name in ("id", "model_type"):
        _text(_present(model, name, source, "model."), source, f"model.{name}")
    revision = _present(model, "revision", source, "model.")
    if revision is not None:
        _text(revision, source, "model.revision")
    for name in _MODEL_NUMBERS:
        _count(_present(model, name, source, "model."), source, f"model.{name}")
    if model["heads"] % model["kv_heads"]:
        kv_heads, heads = model["kv_heads"], model["heads"]
        raise UserError(f"{source}: model.kv_heads is {kv_heads}, expected a divisor of model.heads, {heads}")
    return model["layers"], model["heads"]


def _check_task(task: Mapping[str, Any], shape: tuple[int, int], source: str, name: str) -> None:
    for key in ("split", "records_hash"):
        _text(_present(task, key, source, f"{name}."), source, f"{name}.{key}")
    _count(_present(task, "n", source, f"{name}."), source, f"{name}.n")
    _matrix(_present(task, "mean", source, f"{name}."), shape, source, f"{name}.mean")
    for reason, number in _mapping(task.get("skipped", {}), source, f"{name}.skipped").items():
        _count(number, source, f"{name}.skipped.{reason}")


def _matrix(rows: Any, shape: tuple[int, int], source: str, name: str) -> None:
    if not isinstance(rows, list) or len(rows) != shape[0]:
        raise UserError(f"{source}: {name} is {_short(rows)}, expected {shape[0]} lists (model.layers)")
    for layer, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != shape[1]:
            place = f"{name}[{layer}]"
            raise UserError(f"{source}: {place} is {_short(row)}, expected {shape[1]} numbers (model.heads)")
        for head, value in enumerate(row):
            _number(value, source, f"{name}[{layer}][{head}]")


def _present(mapping: Mapping[str, Any], key: str, source: str, prefix: str = "") -> Any:
    if key not in mapping:
        raise UserError(f"{source}: field {prefix}{key} is missing")
    return mapping[key]


def _mapping(value: Any, source: str, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{source}: {name} is {_short(value)}, expected a JSON object")
    return value


def _text(value: Any, source: str, name: str) -> None:
    if not isinstance(value, str) or not value:
        raise UserError(f"{source}: {name} is {_short(value)}, expected a text")


def _number(value: Any, source: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{source}: {name} is {_short(value)}, expected a finite number")
    return value


def _count(value: Any, source: str, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{source}: {name} is {_short(value)}, expected a whole number of at least 1")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    return repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."
