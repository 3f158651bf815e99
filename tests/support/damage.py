"""Ways to break the small trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trees

Damage = Callable[[Path], object]


def remove(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        for path in list(root.glob(pattern)):
            path.unlink()

    return damage


def cut(pattern: str, keep: float = 0.5) -> Damage:
    def damage(root: Path) -> None:
        path = sorted(root.glob(pattern))[0]
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return damage


def fill(pattern: str, data: bytes) -> Damage:
    def damage(root: Path) -> None:
        sorted(root.glob(pattern))[0].write_bytes(data)

    return damage


def records(pattern: str, change: Callable[[Any], Any]) -> Damage:
    """Change the content of a JSON file."""

    def damage(root: Path) -> None:
        path = sorted(root.glob(pattern))[0]
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def without(field: str) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        del content[0][field]
        return content

    return change


def parquet(root: Path, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    import pyarrow.parquet

    path = root / name
    rows = pyarrow.parquet.read_table(path).to_pylist()
    change(rows)
    trees.parquet(path, rows)
