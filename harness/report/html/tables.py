"""What stands in the page's tables: which columns are seen at which width, the ranking's cells with bars and marks, and
both tables packed for downloading."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from coreheads.report.columns import BUSY, grouped
from coreheads.report.flat import flat
from coreheads.report.ranking import Figure
from coreheads.store.board import Board, Overall
from coreheads.text import json_text

RANKED = {"score": 0, "prefill speedup": 0, "change": 700, "KV kept": 840, "work": 840, "end to end": 1000,
          "question": 1200, "loyalty": 1280}  # fmt: skip
"""How many pixels wide the window must be for a column of the ranking to be seen; others are seen where they are
chosen."""
ROWS = {"score": 0, "prefill speedup": 0, "change": 700, "KV kept": 900, "work": 900, "end to end": 1000, "p": 1200,
        "question": 1200, "timed tokens": 1400, "answers": 1400}  # fmt: skip
"""The same for the table of all rows."""
FIXED = ("rank", "condition")
"""Columns that are always seen."""


class Shown(NamedTuple):
    """A cell of the ranking."""

    text: str
    note: str
    """What stands below it."""
    value: float | None
    share: float | None
    """Of the column's longest bar, 0 to 1; None: no bar."""
    best: bool
    """Whether no other method of the model is better in this column."""


def ranked(lines: Sequence[Overall], figures: Sequence[Figure]) -> list[list[Shown]]:
    """The cells of every line. The dense model is what others are compared with, and is not marked as the best."""
    longest, best = {}, {}
    for figure in figures:
        if figure.best is not None and figure.value is not None:
            known = [abs(value) for line in lines if (value := figure.value(line)) is not None]
            longest[figure.name] = max(known, default=0.0)
            for place, of_model in grouped(lines, "run", "model").items():
                mine = [v for line in of_model if line["patch"] != "none" and (v := figure.value(line)) is not None]
                if len(mine) > 1:
                    best[place, figure.name] = figure.best(mine)
    return [[_cell(line, figure, longest, best) for figure in figures] for line in lines]


def _cell(
    line: Overall, figure: Figure, longest: dict[str, float], best: dict[tuple[tuple[str, ...], str], float]
) -> Shown:
    text, value = figure.text(line), None if figure.value is None else figure.value(line)
    long = longest.get(figure.name)
    share = min(1.0, abs(value) / long) if value is not None and long else None
    marked = line["patch"] != "none" and value is not None
    chosen = marked and best.get(((line["run"], line["model"]), figure.name)) == value
    plain = text.replace(f" ({BUSY})", "")
    return Shown(plain, BUSY if plain != text else "", value, share, chosen)


def downloads(board: Board) -> str:
    """The ranking and the rows, as they stand in leaderboard.json and as lines of CSV, compressed."""
    parts: dict[str, Sequence[Mapping[str, Any]]] = {"ranking": board.get("overall", []), "rows": board["rows"]}
    return packed(json_text({name: {"json": lines, "csv": flat(lines)} for name, lines in parts.items()}))


def packed(text: str) -> str:
    """Compressed, and so that a text that holds ``<script>`` does not meet the HTML parser."""
    return base64.b64encode(gzip.compress(text.encode("utf-8", "backslashreplace"), 9, mtime=0)).decode("ascii")
