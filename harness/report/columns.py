"""Rows as text: the same words and figures in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

SELECTIONS = {
    "top": "top",
    "bottom": "bottom",
    "random": "random",
    "layer_matched": "random, same layers",
    "explicit": "named heads",
    "all": "all heads",
    "none": "no head",
}


def what(row: Row) -> str:
    """The row's condition in words: ``hybrid: top 10 % full``; with the patch's settings where the row is marked as
    told apart by them."""
    if row["patch"] == "none":
        return "dense (the model as it is)"
    if row.get("told_apart"):
        settings = ", ".join(f"{name} {value}" for name, value in row["params"].items())
        return f"{what({**row, 'told_apart': False})} ({settings})"
    selection = SELECTIONS.get(row["selection"], str(row["selection"]))
    if row["fraction"] is not None:
        selection += f" {100 * row['fraction']:g} %"
    if row["patch"] == "ablate":
        mode = row["params"].get("mode", "zero")
        return f"ablate{'' if mode == 'zero' else f' ({mode})'}: {selection} off"
    if row["patch"] == "hybrid":
        return f"hybrid: {selection} full"
    return f"{row['patch']}: {selection}"


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def interval(value: float | None, bounds: Any, digits: int = 2, sign: bool = False) -> str:
    """``0.95 [0.90, 0.99]``; empty where not measured."""
    if value is None:
        return ""
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    text = form.format(value + 0.0)
    if bounds is not None:
        text += f" [{form.format(bounds[0] + 0.0)}, {form.format(bounds[1] + 0.0)}]"
    return text


def p_value(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


@dataclass(frozen=True)
class Column:
    """A column of the board: its heading, what it means, the text of a row's cell, and the number that it sorts by
    (None: by the text)."""

    name: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | None] | None = None


def _field(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.get(name)


COLUMNS = (
    Column("condition", "what was done to the model", lambda row: what(row)),
    Column("score", "mean, 95 % interval", lambda row: interval(row["score"], row["score_ci"]), _field("score")),
    Column(
        "change",
        "against dense on the same samples",
        lambda row: interval(row["delta"], row["delta_ci"], sign=True),
        _field("delta"),
    ),
    Column(
        "p",
        "of no change, corrected for the number of rows (Holm)",
        lambda row: p_value(row["p_value"]),
        _field("p_value"),
    ),
    Column("prefill speedup", "dense over this, 95 % interval", lambda row: _ratio(row), _field("prefill_speedup")),
    Column("ceiling", "speedup were the other heads free", lambda row: _times(row["ceiling"]), _field("ceiling")),
    Column(
        "timed tokens", "length of the timed prompt", lambda row: whole(row.get("timed_tokens")), _field("timed_tokens")
    ),
    Column("device", "where the speed was measured", lambda row: str(row["device"]) if timed(row) else ""),
    Column("decode speedup", "per answer token", lambda row: _times(row["decode_speedup"]), _field("decode_speedup")),
    Column(
        "end to end",
        "from media to answer",
        lambda row: _times(row["end_to_end_speedup"]),
        _field("end_to_end_speedup"),
    ),
    Column("prefill ms", "median", lambda row: number(row["prefill_ms"], 1), _field("prefill_ms")),
    Column("KV kept", "cache bytes over dense", lambda row: number(row["kv_bytes_ratio"]), _field("kv_bytes_ratio")),
    Column(
        "heads",
        "how many heads were selected",
        lambda row: str(row["heads"]) if row["patch"] != "none" else "",
        lambda row: row["heads"] if row["patch"] != "none" else None,
    ),
    Column("answers", "how many were scored", lambda row: str(row["n"]), _field("n")),
    Column("tokens", "prompt length, median", lambda row: whole(row["tokens_median"]), _field("tokens_median")),
    Column(
        "unscored",
        "samples that could not be used: in no score",
        lambda row: str(row.get("unscored") or ""),
        _field("unscored"),
    ),
    Column("whole set", "the task's scores that are no means over samples", lambda row: _aggregates(row)),
)


def timed(row: Row) -> bool:
    """Whether any speed of the row was measured."""
    return row["prefill_ms"] is not None or row["prefill_speedup"] is not None


def _aggregates(row: Row) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in (row.get("aggregates") or {}).items())


def _ratio(row: Row) -> str:
    if row["prefill_speedup"] is None:
        return ""
    return interval(row["prefill_speedup"], row["prefill_speedup_ci"]) + "x"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def notes(rows: Iterable[Row]) -> list[str]:
    """What must be read beside a table: how it was scored, what is in no score, a line a row that has something."""
    rows = list(rows)
    variants = dict.fromkeys(row["variant"] for row in rows if row.get("variant"))
    left_out = dict.fromkeys(row["unscored_example"] for row in rows if row.get("unscored_example"))
    return [
        *(f"scored by {variant}" for variant in variants),
        *(f"not scored, among others: {example}" for example in left_out),
        *(f"{what(row)}: {row['note']}" for row in rows if row["note"]),
    ]


def table(rows: Iterable[Row]) -> tuple[list[str], list[list[str]]]:
    """(headings, lines) without the columns that are empty in every row."""
    rows = list(rows)
    lines = [[column.text(row) for column in COLUMNS] for row in rows]
    used = [index for index in range(len(COLUMNS)) if any(line[index] for line in lines)]
    return [COLUMNS[index].name for index in used], [[line[index] for index in used] for line in lines]


def by_task(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows grouped as (run, model, task), in their order."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["run"], row["model"], row["task"]), []).append(row)
    return groups
