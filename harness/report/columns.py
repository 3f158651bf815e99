"""Rows as text: the same words and figures in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from coreheads.report.intervals import interval, none_seen
from coreheads.store.board import Interval, Overall, Row
from coreheads.store.condition import StoredCell
from coreheads.store.fields import Plain

SELECTIONS = {
    "top": "top",
    "bottom": "bottom",
    "random": "random",
    "layer_matched": "random, same layers",
    "explicit": "named heads",
    "all": "all heads",
    "none": "no head",
}


BUDGETS = {"flops": "of the work", "kv": "of the cache"}


def condition_label(condition: Row | StoredCell) -> str:
    """A row's or a cell's condition in words: ``hybrid: top 10 % full``, ``dart (keep 0.25)``, ``cdpruner, 50 % of the
    work``, two at once as ``hybrid: top 10 % full on dart (keep 0.25)``; with the settings of a patch on heads where
    the row is marked as told apart by them."""
    label = method_label(condition)
    if (budget := condition.get("budget")) is not None:
        label += f", {budget_label(budget, condition.get('budget_of'))}"
    return f"{label}, preset" if condition.get("preset") else label


def budget_label(budget: float, of: str | None) -> str:
    """``50 % of the work``."""
    return f"{100 * budget:g} % {BUDGETS.get(str(of), 'of dense')}"


def method_label(condition: Row | StoredCell) -> str:
    """The same without a budget."""
    patch, params = condition["patch"], condition["params"]
    if patch == "none":
        return "dense (the model as it is)"
    if condition["selection"] is None:
        return _with_settings(patch, params)
    label = SELECTIONS.get(str(condition["selection"]), str(condition["selection"]))
    if condition["fraction"] is not None:
        label += f" {100 * condition['fraction']:g} %"
    if score := condition.get("head_score"):
        label += f" by {score}"
    if patch == "ablate":
        mode = params.get("mode", "zero")
        label = f"ablate{'' if mode == 'zero' else f' ({mode})'}: {label} off"
    else:
        label = f"{patch}: {label}{' full' if patch == 'hybrid' else ''}"
    if condition.get("told_apart"):
        label = _with_settings(label, params)
    below = condition.get("on")
    return label if below is None else f"{label} on {_with_settings(below['patch'], below['params'])}"


def _with_settings(label: str, params: Mapping[str, Plain]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in params.items())
    return f"{label} ({settings})" if settings else label


SIZES = ("fraction", "budget", "budget_of", "preset")


def method(row: Row) -> str:
    """A row's condition in words, without how much it keeps: the rows of one method are a curve."""
    without: dict[str, Any] = {**row, **dict.fromkeys(set(SIZES) & row.keys()), "params": _without_keep(row["params"])}
    if (below := row.get("on")) is not None:
        without["on"] = {**below, "params": _without_keep(below["params"])}
    question = f", question {row['question']}" if row.get("question") else ""
    return condition_label(cast(Row, without)) + question


def _without_keep(params: Mapping[str, Plain]) -> dict[str, Plain]:
    """Nor the question, which every row of an eviction has and its method ends with."""
    return {name: value for name, value in params.items() if name not in ("keep", "question")}


def kind_label(kind: str) -> str:
    """``dense``, a selection, or a patch that takes no heads, in words."""
    return SELECTIONS.get(kind, kind)


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def score(row: Row | Overall) -> str:
    """The score with its interval."""
    return interval(row["score"], row["score_ci"]) + none_seen(row["score_ci"], row.get("alike"))


def change(row: Row | Overall) -> str:
    """The change against dense with its interval; empty where there is none."""
    return interval(row["delta"], row["delta_ci"], sign=True) + none_seen(row["delta_ci"], row.get("alike"))


def ratio(value: float | None, bounds: Interval | None = None) -> str:
    """``1.30 [1.28, 1.33]x``; empty where not measured."""
    return interval(value, bounds) + "x" if value is not None else ""


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


def _number(name: str, meaning: str, field: str, form: Callable[..., str]) -> Column:
    """A column of one field's numbers, with their intervals where the row has them."""
    shown = (field, f"{field}_ci") if f"{field}_ci" in Row.__annotations__ else (field,)
    return Column(name, meaning, lambda row: form(*map(row.get, shown)), lambda row: cast(float | None, row.get(field)))


def _selected(row: Row) -> int | None:
    return row["heads"] if row["selection"] is not None and row.get("budget") is None else None


def kv(row: Row) -> float | None:
    """Bytes of keys and values after the prefill over dense: counted over the samples, else of the timed prompt."""
    counted = row.get("kv_ratio")
    return row["kv_bytes_ratio"] if counted is None else counted


WIDE = 0.25
"""An interval of a speed that is wider than this share of it was measured on a busy machine."""
BUSY, BUSY_MEANS = "busy machine", "the interval is wider than a quarter of the speedup"


def speed(value: float | None, bounds: Interval | None) -> str:
    """``ratio``, marked where the interval is wide."""
    wide = value and bounds is not None and bounds[1] - bounds[0] > WIDE * value
    return ratio(value, bounds) + (f" ({BUSY})" if wide else "")


def _device(row: Row) -> str:
    timed = row["prefill_ms"] is not None or row["prefill_speedup"] is not None
    return str(row["device"]) if timed or row.get("who") else ""


def duration(milliseconds: float | None) -> str:
    """``0.25 ms``, ``31.4 ms``, ``1.20 s``; empty where not measured."""
    if milliseconds is None:
        return ""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.2f} s"
    return f"{milliseconds:.{2 if milliseconds < 10 else 1}f} ms"


def _aggregates(row: Row) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in (row["aggregates"] or {}).items())


COLUMNS = (
    Column("condition", "what was done to the model", condition_label),
    Column("score", "mean, 95 % interval", score, lambda row: row["score"]),
    Column("change", "against dense on the same samples", change, lambda row: row["delta"]),
    _number("p", "of no change, corrected for the number of rows (Holm)", "p_value", p_value),
    _number("prefill speedup", "dense over this, 95 % interval", "prefill_speedup", speed),
    _number("ceiling", "speedup were the other heads free", "ceiling", ratio),
    _number("timed tokens", "length of the timed prompt", "timed_tokens", whole),
    Column("device", "where the speed was measured, or a submitted run was made", _device),
    _number("decode speedup", "per answer token", "decode_speedup", ratio),
    _number("end to end", "from media to answer", "end_to_end_speedup", ratio),
    _number("prefill time", "median", "prefill_ms", duration),
    _number("work", "FLOPs of the prefill over dense, those of choosing included", "flops_ratio", number),
    Column("KV kept", "cache bytes over dense", lambda row: number(kv(row)), kv),
    Column("question", "seen: keys were evicted after it was read; unseen: before", lambda r: r.get("question") or ""),
    _number("loyalty", "share of answers equal to dense", "loyalty", number),
    _number("choosing time", "median, of the prefill", "select_ms", duration),
    Column("heads", "how many heads were selected", lambda row: whole(_selected(row)), _selected),
    _number("answers", "how many were scored", "n", whole),
    _number("tokens", "prompt length, median", "tokens_median", whole),
    Column(
        "unscored",
        "samples that could not be used: in no score",
        lambda row: whole(row["unscored"] or None),
        lambda row: row["unscored"] or None,
    ),
    Column("submitted by", "whose run it is, where that is somebody else's", lambda row: row.get("who") or ""),
    Column("version", "of coreheads, that a submitted run was made with", lambda row: row.get("version") or ""),
    Column("whole set", "the task's scores that are no means over samples", _aggregates),
)


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


Line = TypeVar("Line", Row, Overall)


def grouped(rows: Iterable[Line], *names: str) -> dict[tuple[str, ...], list[Line]]:
    """Rows by what they have in common in the fields ``names``, in their order."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name)) for name in names), []).append(row)
    return groups


def by_task(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Rows by (run, model, task)."""
    return grouped(rows, "run", "model", "task")
