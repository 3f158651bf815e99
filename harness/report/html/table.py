"""The page's table: every row of the board in plain HTML, which the page's script sorts, filters and groups."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coreheads.report import columns
from coreheads.report.columns import COLUMNS, Column, by_task, condition_label
from coreheads.report.palette import kind
from coreheads.report.pareto import by_axis, pareto
from coreheads.store.board import Row


def table(rows: Sequence[Row]) -> str:
    """One table of all rows with model, task and run as columns; columns that are empty everywhere are left out."""
    used = [column for column in COLUMNS if any(map(column.text, rows))] or [COLUMNS[0]]
    front = {id(row) for group in by_axis(rows).values() for row in pareto(group) if len(group) > 1}
    several = len({row["run"] for row in rows}) > 1
    keys = ["model", "task", *(["run"] if several else [])]
    head = _heading(used[0], "text") + "".join(f'<th scope="col" class="key text">{name}</th>' for name in keys)
    head += "".join(_heading(column, "text" if column.value is None else "number") for column in used[1:])
    head += '<th scope="col" hidden>group</th>'
    body = []
    for number, ((run, model, task), group) in enumerate(by_task(rows).items()):
        metric = f"score: {group[0]['metric']}" + (f", scored by {group[0]['variant']}" if group[0]["variant"] else "")
        about = "; ".join([metric, *([f"run {run}"] if several else [])])
        for index, row in enumerate(group):
            names = {"model": model, "task": task, "run": run}
            cells = [_condition(row, id(row) in front)]
            cells += [f'<td class="key text"><bdi>{escape(names[name])}</bdi></td>' for name in keys]
            cells += [_cell(column, row) for column in used[1:]]
            cells.append(f"<td hidden>{number}</td>")
            marks = {"model": model, "task": task, "patch": str(row["patch"])}
            marks |= {"about": about} if index == 0 else {}
            attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in marks.items())
            body.append(f'<tr class="{_style(row)}" {attributes}>{"".join(cells)}</tr>')
    lines = "\n".join(body)
    return f'<table id="board"><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>'


def notes(rows: Sequence[Row]) -> str:
    """What must be read beside the rows, by model and task; empty where there is nothing."""
    parts = []
    for (run, model, task), group in by_task(rows).items():
        lines = "".join(f"<li>{escape(note)}</li>" for note in columns.notes(group))
        if lines:
            parts.append(
                f"<h4><bdi>{escape(model)}</bdi> on <bdi>{escape(task)}</bdi> <small>({escape(run)})</small></h4>"
            )
            parts.append(f"<ul>{lines}</ul>")
    return f"<details><summary>Notes on rows</summary>{''.join(parts)}</details>" if parts else ""


def _heading(column: Column, style: str) -> str:
    return f'<th scope="col" class="{style}" title="{escape(column.meaning)}">{escape(column.name)}</th>'


def _condition(row: Row, front: bool) -> str:
    note = f' title="{escape(row["note"])}"' if row["note"] else ""
    mark = ' <span class="pill" title="no row beats it in score and speedup at once">front</span>' if front else ""
    return (
        f'<th scope="row"{note}><i class="dot k-{_safe(kind(row))}"></i>'
        f"<span>{escape(condition_label(row))}{mark}</span></th>"
    )


def _cell(column: Column, row: Row) -> str:
    text = escape(column.text(row))
    if not text:
        # said for every cell of a column: the table takes from its first row by what it is sorted
        return "<td></td>" if column.value is None else '<td data-order=""></td>'
    if column.value is None:
        return f'<td class="text"><bdi>{text}</bdi></td>'
    value = column.value(row)
    order = "" if value is None else f"{value:.6g}"
    bar = (
        f' class="bar" style="--share:{100 * min(1.0, max(0.0, value)):.0f}%"'
        if column.name == "score" and value
        else ""
    )
    return f'<td data-order="{order}"{bar}>{text}</td>'


def _style(row: Row) -> str:
    return row["patch"] if row["patch"] in ("none", "hybrid", "ablate") else "other"


def _safe(name: str) -> str:
    """A class name's characters only."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
