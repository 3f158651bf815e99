"""Rows as text: the same words and figures in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coreheads.store.board import Interval, Row
from coreheads.store.schema import StoredCell

SELECTIONS = {
    "top": "top",
    "bottom": "bottom",
    "random": "random",
    "layer_matched": "random, same layers",
    "explicit": "named heads",
    "all": "all heads",
    "none": "no head",
}


def condition_label(condition: Row | StoredCell) -> str:
    """A row's or a cell's condition in words: ``hybrid: top 10 % full``; with the patch's settings where the row is
    marked as told apart by them."""
    patch, params = condition["patch"], condition["params"]
    if patch == "none":
        return "dense (the model as it is)"
    label = SELECTIONS.get(str(condition["selection"]), str(condition["selection"]))
    if condition["fraction"] is not None:
        label += f" {100 * condition['fraction']:g} %"
    if patch == "ablate":
        mode = params.get("mode", "zero")
        label = f"ablate{'' if mode == 'zero' else f' ({mode})'}: {label} off"
    else:
        label = f"{patch}: {label}{' full' if patch == 'hybrid' else ''}"
    if condition.get("told_apart"):
        label += f" ({', '.join(f'{name} {value}' for name, value in params.items())})"
    return label


def kind_label(kind: str) -> str:
    """``dense`` or a selection, in words."""
    return SELECTIONS.get(kind, kind)


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def interval(value: float | None, bounds: Interval | None, digits: int = 2, sign: bool = False) -> str:
    """``0.95 [0.90, 0.99]``; empty where not measured."""
    if value is None:
        return ""
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    text = form.format(value + 0.0)
    if bounds is not None:
        text += f" [{form.format(bounds[0] + 0.0)}, {form.format(bounds[1] + 0.0)}]"
    return text


def ratio(value: float | None, bounds: Interval | None = None) -> str:
    """``1.30 [1.28, 1.33]x``; empty where not measured."""
    return interval(value, bounds) + "x" if value is not None else ""


def p_value(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def count(value: float | None) -> str:
    """Without a thousands separator."""
    return number(value, 0)


@dataclass(frozen=True)
class Column:
    """A column of the board: its heading, what it means, the text of a row's cell, and the number that it sorts by
    (None: by the text)."""

    name: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | None] | None = None


def _number(
    name: str, meaning: str, value: Callable[[Row], float | None], form: Callable[[float | None], str]
) -> Column:
    """A column of plain numbers."""
    return Column(name, meaning, lambda row: form(value(row)), value)


COLUMNS = (
    Column("condition", "what was done to the model", lambda row: condition_label(row)),
    Column(
        "score", "mean, 95 % interval", lambda row: interval(row["score"], row["score_ci"]), lambda row: row["score"]
    ),
    Column(
        "change",
        "against dense on the same samples",
        lambda row: interval(row["delta"], row["delta_ci"], sign=True),
        lambda row: row["delta"],
    ),
    _number("p", "of no change, corrected for the number of rows (Holm)", lambda row: row["p_value"], p_value),
    Column(
        "prefill speedup",
        "dense over this, 95 % interval",
        lambda row: ratio(row["prefill_speedup"], row["prefill_speedup_ci"]),
        lambda row: row["prefill_speedup"],
    ),
    _number("ceiling", "speedup were the other heads free", lambda row: row["ceiling"], ratio),
    _number("timed tokens", "length of the timed prompt", lambda row: row["timed_tokens"], whole),
    Column("device", "where the speed was measured", lambda row: str(row["device"]) if timed(row) else ""),
    _number("decode speedup", "per answer token", lambda row: row["decode_speedup"], ratio),
    _number("end to end", "from media to answer", lambda row: row["end_to_end_speedup"], ratio),
    _number("prefill ms", "median", lambda row: row["prefill_ms"], lambda value: number(value, 1)),
    _number("KV kept", "cache bytes over dense", lambda row: row["kv_bytes_ratio"], number),
    _number(
        "heads", "how many heads were selected", lambda row: row["heads"] if row["patch"] != "none" else None, count
    ),
    _number("answers", "how many were scored", lambda row: row["n"], count),
    _number("tokens", "prompt length, median", lambda row: row["tokens_median"], whole),
    _number("unscored", "samples that could not be used: in no score", lambda row: row["unscored"] or None, count),
    Column("whole set", "the task's scores that are no means over samples", lambda row: _aggregates(row)),
)


def timed(row: Row) -> bool:
    """Whether any speed of the row was measured."""
    return row["prefill_ms"] is not None or row["prefill_speedup"] is not None


def _aggregates(row: Row) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in (row["aggregates"] or {}).items())


def notes(rows: Iterable[Row]) -> list[str]:
    """What must be read beside a table: how it was scored, what is in no score, a line a row that has something."""
    rows = list(rows)
    variants = dict.fromkeys(row["variant"] for row in rows if row["variant"])
    left_out = dict.fromkeys(row["unscored_example"] for row in rows if row["unscored_example"])
    return [
        *(f"scored by {variant}" for variant in variants),
        *(f"not scored, among others: {example}" for example in left_out),
        *(f"{condition_label(row)}: {row['note']}" for row in rows if row["note"]),
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
