"""From text to a tree of plain values: YAML files and ``--set key=value``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from coreheads.errors import UserError


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping, loaded safely."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected a YAML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML{_where(error)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds {type(tree).__name__}, expected a mapping with models, evaluate, cells ...")
    return tree


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f", line {mark.line + 1}: {problem}" if mark is not None else f": {problem}"


def set_values(
    tree: dict[str, Any],
    changes: Sequence[str],
    options: Iterable[tuple[str, Any]] = (),
    *,
    flag: str = "--set",
    example: str = "evaluate.limit=8",
) -> None:
    """Change a configuration in place: ``key=value`` texts (values are YAML), then ready (key, value) options.

    Keys are dotted paths; a number counts list elements from 0: ``cells.1.fractions=[0.05]``.
    """
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{flag} {change!r}: expected key=value, for example {flag} {example}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{flag} {change!r}: the value is not YAML{_where(error)}") from None
        _put(tree, key.strip(), value, flag)
    for key, value in options:
        _put(tree, key, value, flag)


def _put(tree: dict[str, Any], key: str, value: Any, flag: str) -> None:
    parts = key.split(".")
    node: Any = tree
    for depth, part in enumerate(parts[:-1]):
        if isinstance(node, dict):
            if node.get(part) is None:
                node[part] = {}
            node = node[part]
        else:
            node = node[_index(node, part, key, ".".join(parts[:depth]), flag)]
    if isinstance(node, dict):
        node[parts[-1]] = value
    else:
        node[_index(node, parts[-1], key, ".".join(parts[:-1]), flag)] = value


def _index(node: Any, part: str, key: str, parent: str, flag: str) -> int:
    if not isinstance(node, list):
        raise UserError(f"{flag} {key}: {parent} is {node!r}, which has no fields")
    if not part.isdigit() or int(part) >= len(node):
        raise UserError(f"{flag} {key}: {part!r} is not an element of {parent}, expected 0 to {len(node) - 1}")
    return int(part)
