"""heads.json: what stands in it, the check of every field, and its text form (one layer a line).

Checked by hand, because a profile is also read where nothing but torch, transformers and numpy is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args

from coreheads.errors import UserError, brief
from coreheads.hashing.contents import CheckpointFingerprint
from coreheads.text import json_text

SCHEMA_VERSION = 1

Normalization = Literal["vision", "lift"]
"""What a score is divided by: the mass on all vision tokens, or the score of a uniform reader of them."""

NORMALIZATIONS = (None, *get_args(Normalization))

Matrix = list[list[float]]
"""A number for every head: a list of layers, each a list of heads."""


class ModelIdentity(TypedDict):
    """Whose heads these are."""

    id: str
    """Hub id or folder."""
    revision: str | None
    """Of the hub repository; null where none was asked for."""
    model_type: str
    """The family, as config.json of the checkpoint names it."""
    layers: int
    """Of the language model."""
    heads: int
    """Query heads of a layer."""
    kv_heads: int
    """Key-value heads of a layer, a divisor of ``heads``."""
    fingerprint: NotRequired[CheckpointFingerprint]
    """Of the files that the heads were found on; older files have none, nor has a model that was built by code."""


class TaskRecord(TypedDict):
    """What one task contributed."""

    split: str
    n: int
    """Samples that counted, at least 1."""
    records_hash: str
    """SHA-256 (hex) of what these samples ask, see ``coreheads.retrieval.fingerprint``."""
    mean: Matrix
    """Of the scores of the ``n`` samples."""
    skipped: NotRequired[dict[str, int]]
    """How many samples were left out, by reason."""


class Provenance(TypedDict, total=False):
    """How a profile was made; for people, so that every field may be missing."""

    versions: dict[str, str | None]
    """Of packages; null for those that are not installed."""
    seed: int
    """Of the intervals and of the halves."""
    dtype: str
    device: str
    attn_implementation: str | None
    """As transformers names it."""
    date: str
    """UTC, ISO 8601."""
    command: str
    interval: str
    """What the intervals are, in words."""
    split_half: str
    """What the correlation of the halves is, in words."""


class ProfileRecord(TypedDict):
    """The whole file. Other fields may stand beside these."""

    schema_version: int
    model: ModelIdentity
    score: str
    """Name of the head score, as ``coreheads.retrieval.head_scores.score_names`` lists them."""
    normalization: Normalization | None
    split_half: float | None
    """Rank correlation of the leading heads between halves of the samples, -1 to 1; null where there is none."""
    provenance: Provenance
    mean: Matrix
    """Over tasks, of the tasks' means."""
    ci_low: Matrix | None
    """Lower end of the 95 % interval of ``mean``; null, as is ``ci_high``, of a score of all samples at once."""
    ci_high: Matrix | None
    tasks: dict[str, TaskRecord]
    split_half_shared: NotRequired[list[float]]
    """At place k - 1, the share of its top k heads that a half of the samples has in common with the other, 0 to 1;
    older files have none, nor has a profile of too few samples."""


_OBJECT, _TEXT = "a JSON object", "a text"
_NUMBER, _COUNT = "a finite number of at most 1e100 in size", "a whole number of at least 1 and at most 1e15"
_MOST = 1e100
"""In size, of a score: sums of it and their squares are numbers, too."""
_KINDS: dict[str, Callable[[Any], bool]] = {
    _OBJECT: lambda value: isinstance(value, Mapping),
    _TEXT: lambda value: isinstance(value, str) and value != "",
    _NUMBER: lambda value: isinstance(value, int | float) and abs(value) <= _MOST,
    _COUNT: lambda value: isinstance(value, int) and 1 <= value <= 10**15,
}


def check(data: Any, source: str) -> ProfileRecord:
    """``data`` itself when it is a valid profile; otherwise UserError naming ``source``, the field and the value."""
    try:
        _check(_checked(data, "the file", _OBJECT))
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    return cast(ProfileRecord, data)


def to_text(record: Mapping[str, Any]) -> str:
    """JSON text in which a list of numbers takes one line, so that a layer is a line and a diff can be read."""
    return _render(record, "") + "\n"


def _render(value: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json_text(str(k))}: {_render(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, list | Mapping) for part in value):
        return "[\n" + ",\n".join(inner + _render(part, inner) for part in value) + f"\n{indent}]"
    return json_text(value)


def _check(profile: Mapping[str, Any]) -> None:
    version = _field(profile, "schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ValueError(f"schema_version is {version!r}, expected {SCHEMA_VERSION}")
    model = _field(profile, "model", _OBJECT)
    for name in ("id", "model_type"):
        _field(model, f"model.{name}", _TEXT)
    for name in ("layers", "heads", "kv_heads"):
        _field(model, f"model.{name}", _COUNT)
    if _field(model, "model.revision") is not None:
        _field(model, "model.revision", _TEXT)
    for part, value in _checked(model.get("fingerprint", {}), "model.fingerprint", _OBJECT).items():
        _checked(value, f"model.fingerprint.{part}", _TEXT)
    shape = model["layers"], model["heads"]
    if shape[1] % model["kv_heads"]:
        raise ValueError(f"model.kv_heads is {model['kv_heads']}, expected a divisor of model.heads, {shape[1]}")
    _field(profile, "score", _TEXT)
    if (value := _field(profile, "normalization")) not in NORMALIZATIONS:
        raise ValueError(f"normalization is {_short(value)}, expected null, 'vision' or 'lift'")
    _matrix(profile, "mean", shape)
    unknown = [_field(profile, name) is None for name in ("ci_low", "ci_high")]
    if any(unknown) and not all(unknown):
        raise ValueError("one of ci_low and ci_high is null, expected both or none")
    lows, highs = ([], []) if all(unknown) else (_matrix(profile, name, shape) for name in ("ci_low", "ci_high"))
    for layer, pairs in enumerate(zip(lows, highs, strict=True)):
        for head, (low, high) in enumerate(zip(*pairs, strict=True)):
            if low > high:
                raise ValueError(f"ci_low[{layer}][{head}] is {low}, above its ci_high, {high}")
    half = _field(profile, "split_half")
    if half is not None and not -1 <= _field(profile, "split_half", _NUMBER) <= 1:
        raise ValueError(f"split_half is {half}, expected null or a correlation between -1 and 1")
    if "split_half_shared" in profile:
        shares, most = profile["split_half_shared"], shape[0] * shape[1]
        if not isinstance(shares, list) or len(shares) != most:
            raise ValueError(f"split_half_shared is {_short(shares)}, expected {most} numbers (one a head)")
        for place, share in enumerate(shares):
            if not 0 <= _checked(share, f"split_half_shared[{place}]", _NUMBER) <= 1:
                raise ValueError(f"split_half_shared[{place}] is {share}, expected a share between 0 and 1")
    _field(profile, "provenance", _OBJECT)
    for name, task in _field(profile, "tasks", _OBJECT).items():
        _checked(task, f"tasks.{name}", _OBJECT)
        for key, kind in (("split", _TEXT), ("records_hash", _TEXT), ("n", _COUNT)):
            _field(task, f"tasks.{name}.{key}", kind)
        _matrix(task, f"tasks.{name}.mean", shape)
        skipped = f"tasks.{name}.skipped"
        for reason, number in _checked(task.get("skipped", {}), skipped, _OBJECT).items():
            _checked(number, f"{skipped}.{reason}", _COUNT)


def _matrix(record: Mapping[str, Any], name: str, shape: tuple[int, int]) -> Matrix:
    rows = _field(record, name)
    if not isinstance(rows, list) or len(rows) != shape[0]:
        raise ValueError(f"{name} is {_short(rows)}, expected {shape[0]} lists (model.layers)")
    for layer, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != shape[1]:
            raise ValueError(f"{name}[{layer}] is {_short(row)}, expected {shape[1]} numbers (model.heads)")
        for head, value in enumerate(row):
            _checked(value, f"{name}[{layer}][{head}]", _NUMBER)
    return rows


def _field(record: Mapping[str, Any], name: str, kind: str | None = None) -> Any:
    """The field that the last part of ``name`` says. ValueError where it is missing, or not of the kind."""
    key = name.rpartition(".")[2]
    if key not in record:
        raise ValueError(f"field {name} is missing")
    return record[key] if kind is None else _checked(record[key], name, kind)


def _checked(value: Any, name: str, kind: str) -> Any:
    if isinstance(value, bool) or not _KINDS[kind](value):
        raise ValueError(f"{name} is {_short(value)}, expected {kind}")
    return value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else brief(value)
