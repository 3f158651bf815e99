"""From text to a tree of plain values: YAML files and ``--set key=value``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from coreheads import limits
from coreheads.errors import UserError, brief, one_line
from coreheads.files import whole_file


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping, loaded safely."""
    try:
        tree = parsed(whole_file(path, limits.CONFIG_BYTES, "a YAML configuration").decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        kind = "is empty" if tree is None else f"holds {brief(tree)}"
        raise UserError(f"{path}: {kind}, expected a mapping with models, evaluate, cells ...")
    return tree


def parsed(text: str) -> Any:
    """The value of a YAML text, of mappings with texts as keys, lists, texts, finite numbers, true, false and null.

    ValueError, in one line, for what is no YAML or holds anything else, names a key twice, or is too large.
    """
    try:
        tree = yaml.load(text, _Loader)  # a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ValueError(f"is not YAML{line}: {problem}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"is not YAML of use ({one_line(error)})") from None
    try:
        _check(tree, "", count(1))
    except RecursionError:
        raise ValueError("holds itself, expected an end") from None
    return tree


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which takes a key only once, and stops at so many values that it would take minutes."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._count(1)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what ``<<`` names into the mapping: an alias counts as what it stands for, each time."""
        before = len(node.value)
        super().flatten_mapping(node)
        self._count(len(node.value) - before)

    def _count(self, more: int) -> None:
        self._values += more
        limits.check(self._values, limits.CONFIG_VALUES, "values or more")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "<<")
            if key.tag == "tag:yaml.org,2002:bool":  # the field ``on``, which YAML 1.1 takes for true
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def _check(value: Any, path: str, counter: Iterator[int]) -> None:
    """ValueError for a tree that is not plain, or too large; an alias counts as what it stands for."""
    limits.check(next(counter), limits.CONFIG_VALUES, "values or more")
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and not isinstance(key, str):
                raise ValueError(f"{path or 'the file'} has the key {str(key)[:80]!r}, expected texts as keys")
            _check(part, f"{path}.{key}".lstrip("."), counter)
    elif isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise ValueError(f"{path or 'the value'} is {value[:80]!r}, expected text without null characters")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path or 'the value'} is {value}, expected a finite number")
    elif isinstance(value, int) and value.bit_length() > 1023:  # which Python would not even write
        raise ValueError(f"{path or 'the value'} is a number of {value.bit_length():,} bits, expected one of use")
    elif not isinstance(value, str | bool | int | float | None):
        raise ValueError(f"{path or 'the value'} is a {type(value).__name__}, expected a text, a number or a list")


def set_values(
    tree: dict[str, Any],
    changes: Sequence[str],
    options: Iterable[tuple[str, Any]] = (),
    *,
    flag: str = "--set",
    example: str = "evaluate.limit=8",
) -> dict[str, Any]:
    """``tree``, changed in place: ``key=value`` texts (values are YAML), then ready (key, value) options.

    Keys are dotted paths; a number counts list elements from 0: ``cells.1.fractions=[0.05]``.
    """
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{flag} {change!r}: expected key=value, for example {flag} {example}")
        try:
            value = parsed(text)
        except ValueError as error:
            raise UserError(f"{flag} {change!r}: the value {error}") from None
        _put(tree, key.strip(), value, flag)
    for key, value in options:
        _put(tree, key, value, flag)
    return tree


def _put(tree: dict[str, Any], key: str, value: Any, flag: str) -> None:
    *parents, last = key.split(".")
    node: Any = tree
    for depth, part in enumerate(parents):
        if isinstance(node, dict):
            if node.get(part) is None:
                node[part] = {}
            node = node[part]
        else:
            node = node[_index(node, part, key, ".".join(parents[:depth]), flag)]
    node[last if isinstance(node, dict) else _index(node, last, key, ".".join(parents), flag)] = value


def _index(node: Any, part: str, key: str, parent: str, flag: str) -> int:
    if not isinstance(node, list):
        raise UserError(f"{flag} {key}: {parent} is {repr(node)[:80]}, which has no fields")
    if not (part.isascii() and part.isdigit() and len(part) < 10) or int(part) >= len(node):
        raise UserError(f"{flag} {key}: {part!r} is not an element of {parent}, expected 0 to {len(node) - 1}")
    return int(part)
