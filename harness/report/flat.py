"""Lines of a board as CSV: one value a cell, no text that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.text import csv_cell

OBJECTS = ("params", "aggregates", "on")
"""Fields that are JSON in their cells, also where they are null."""


def flat(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The CSV of a board's rows or of its ranking: the heading, then a string for each line, without line ends.

    An interval takes two columns (``_low``, ``_high``), lists and objects are JSON, the names of cells are left out. A
    text that a spreadsheet would take for a formula has an apostrophe before it; numbers are numbers.
    """
    names = list(dict.fromkeys(name for line in lines for name in line if name != "cells"))
    heading = [part for name in names for part in (_ends(name) if name.endswith("_ci") else (name,))]
    return [_line(heading), *(_line(value for name in names for value in _values(name, line)) for line in lines)]


def _ends(name: str) -> tuple[str, str]:
    return f"{name[:-3]}_low", f"{name[:-3]}_high"


def _values(name: str, line: Mapping[str, Any]) -> Sequence[Any]:
    value = line.get(name)
    if name.endswith("_ci"):
        return value or (None, None)
    if isinstance(value, str):
        return (csv_cell(value),)
    return (json.dumps(value),) if name in OBJECTS or isinstance(value, list | dict) else (value,)


def _line(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
