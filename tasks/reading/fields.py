"""Data sets' JSON files, read strictly, and checks of single fields of their records.

The checks raise KeyError or ValueError; ``coreheads.tasks.reading.documents.fields_of`` adds the file and the record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.errors import UserError, brief
from coreheads.files import whole_file
from coreheads.strict_json import RepeatedKey, distinct


def json_file(path: Path) -> Any:
    """The content of a JSON file. UserError names file and line of what is not JSON, or not UTF-8."""
    return json_line(whole_file(path, limits.JSON_BYTES, "a JSON file"), path, 0)


def json_list(path: Path) -> list[Any]:
    """The records of a JSON file; UserError also where it holds no list."""
    content = json_file(path)
    if not isinstance(content, list):
        raise UserError(f"{path}: holds {type(content).__name__}, expected a list of records")
    return content


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(number from 1, record) of every line that is not blank; UserError also for a last line that is cut off."""
    for number, line in enumerate(whole_file(path, limits.JSON_BYTES, "a JSON file").split(b"\n"), 1):
        if line.strip():
            yield number, json_line(line, path, number)


def json_line(data: bytes, path: Path | str, line: int) -> Any:
    """One line of a JSON-lines file, or with ``line`` 0 a whole file; UserError names both where it is not JSON."""
    where = f"{path}: line {line} " if line else f"{path}: "
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=distinct)
    except UnicodeDecodeError as error:
        before = data.count(10, 0, error.start)  # line ends
        position = "" if line else f"line {before + 1}, "
        raise UserError(f"{where}is not UTF-8 ({position}byte {data[error.start]:#04x}), expected JSON") from None
    except json.JSONDecodeError as error:
        position = "" if line else f"line {error.lineno}, "
        raise UserError(f"{where}is not JSON ({position}column {error.colno}: {error.msg})") from None
    except RepeatedKey as error:
        raise UserError(f"{where}is not JSON of use ({error})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}is not JSON ({type(error).__name__}), expected plain records") from None


def field(record: Any, name: str) -> Any:
    """A field that must be there."""
    if not isinstance(record, dict):
        raise ValueError(f"is {brief(record)}, expected an object with field {name!r}")
    return record[name]


def _checked(what: str, fits: Callable[[Any], bool]) -> Callable[[Any, str], Any]:
    """A function that gives a record's field of a name; ValueError where it is not ``what``."""

    def check(record: Any, name: str) -> Any:
        value = field(record, name)
        if not fits(value):
            raise ValueError(f"{name} is {brief(value)}, expected {what}")
        return value

    return check


def is_whole(value: Any) -> bool:
    """Whether it is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a finite number; texts, true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


words: Callable[[Any, str], str] = _checked("a text", lambda value: isinstance(value, str) and bool(value.strip()))
items: Callable[[Any, str], list[Any]] = _checked("a list", lambda value: isinstance(value, list))  # may be empty
whole: Callable[[Any, str], int] = _checked("a whole number", is_whole)
positive: Callable[[Any, str], float] = _checked("a number above 0", lambda value: is_number(value) and value > 0)


def numbers(record: Any, name: str, count: int) -> list[Any]:
    """A list of so many numbers, such as a box's."""
    values = field(record, name)
    if not isinstance(values, list) or len(values) != count or not all(map(is_number, values)):
        raise ValueError(f"{name} is {brief(values)}, expected {count} numbers")
    return values


def label(record: Any, name: str) -> str:
    """A name or a number that stands for something, as text."""
    return words(record, name) if isinstance(field(record, name), str) else str(whole(record, name))


def said(value: Any, name: str) -> Any:
    """A text, a finite number, or a list of at least one of them, as it stands."""
    if isinstance(value, list) and value:
        for item in value:
            said(item, name)
    elif not (is_whole(value) or is_number(value) or (isinstance(value, str) and value.strip())):
        raise ValueError(f"{name} is {brief(value)}, expected a text or a number")
    return value
