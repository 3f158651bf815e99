"""What a run found, in the terminal, for somebody who has never seen the paper."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from coreheads.report import ranking
from coreheads.report.columns import change, condition_label, grouped, number, ratio, whole
from coreheads.report.findings import heads_sentences
from coreheads.report.intervals import interval
from coreheads.store.board import Board, Row
from coreheads.text import for_rich


def wide_console() -> Console:
    """Standard output; as wide as tables need where nothing says how wide it is. Names and other foreign texts go
    through ``for_rich``: what stands in square brackets is taken for markup."""
    console = Console(emoji=False)  # a name may hold :x: too
    return console if console.is_terminal else Console(width=160, emoji=False)


RANKED = 12
"""Lines of the ranking that are printed; the page has all."""


def print_table(console: Console, table: Table) -> None:
    """Print a table of which nothing is cut: names in its first column, and what may not wrap, stay on one line, other
    cells are wrapped between words, and where the terminal is too narrow for that, columns go, the last one first, and
    a line says so."""
    unbounded = console.options.update(max_width=10_000)
    table.columns[0].no_wrap = True
    least, most = [], []
    for column in table.columns:
        head, *cells = (console.measure(text, options=unbounded) for text in (column.header, *column.cells))
        least.append(max([head.minimum, *(cell.maximum if column.no_wrap else cell.minimum for cell in cells)]))
        most.append(max([least[-1], head.maximum, *(cell.maximum for cell in cells)]))
        column.no_wrap = False  # its cells have the width that they need, and its heading may wrap
    around = console.measure(table, options=unbounded).maximum - sum(most)
    dropped, share = 0, around // len(most)  # what stands between and around the columns
    while len(table.columns) > 1 and around + sum(least) > console.width:
        for columns in (table.columns, least, most):
            columns.pop()
        dropped, around = dropped + 1, around - share
    room = max(0, console.width - around - sum(least))
    for left, place in enumerate(sorted(range(len(least)), key=lambda place: most[place] - least[place])):
        more = min(most[place] - least[place], room // (len(least) - left))
        table.columns[place].width, room = least[place] + more, room - more
    if around + sum(least) > console.width:
        table.width = around + sum(least)  # the names alone are wider
    console.print(table, crop=False)
    if dropped:
        console.print(f"   ({dropped} more column{'s' * (dropped > 1)} in a wider terminal)", highlight=False)


def show(board: Board, out: Path, console: Console | None = None) -> None:
    """Print the findings, the cells that tell the story at one fraction a model, the scores of every other change, the
    ranking's first lines, and where everything lies."""
    console = console or wide_console()
    console.print()
    console.print("[bold]1. Which heads look at what is asked about?[/bold]")
    for summary in board["heads"]:
        for sentence in heads_sentences(summary):
            console.print(f"   {for_rich(sentence)}", highlight=False, soft_wrap=True)
    if not board["heads"]:
        console.print("   No heads were looked for in this run.")
    models = grouped(board["rows"], "run", "model")
    for (_, model), rows in models.items():
        title = f" ({for_rich(model)})" if len(models) > 1 else ""
        ablate, hybrid = _story(rows, "ablate", 0.05), _story(rows, "hybrid", 0.1)
        if ablate:
            console.print(f"\n[bold]2. Do the answers depend on them?{title}[/bold] The score with heads switched off:")
            print_table(console, _scores(rows, ablate))
        if hybrid:
            console.print(
                f"\n[bold]3. Are they enough?{title}[/bold] The score when only they read everything "
                "and all other heads the first and last tokens:"
            )
            print_table(console, _scores(rows, hybrid, speed=True))
        if others := [row for row in rows if row["patch"] not in ("none", "ablate", "hybrid")]:
            console.print(f"\n[bold]Other changes{title}[/bold]: score, its change against dense, prefill speedup")
            print_table(console, _others(others))
    if any(row["prefill_speedup"] is not None for row in board["rows"]):
        console.print(
            "   Attention is the part that grows with the square of the tokens: short prompts have nothing to save, "
            "so about 1x, or less for the shortest, is what to expect there.",
            highlight=False,
        )
    _show_ranking(board, console)
    page = for_rich(str(out / "leaderboard.html"))
    console.print(f"\nThe whole board, with intervals and pictures: {page}", highlight=False, soft_wrap=True)


def _story(rows: list[Row], patch: str, fraction: float) -> list[Row]:
    """The rows of a patch at the fraction nearest to the wanted one, and those that have none."""
    patched = [row for row in rows if row["patch"] == patch]
    known = {row["fraction"] for row in patched if row["fraction"] is not None}
    nearest = min(known, key=lambda value: abs(value - fraction), default=None)
    return [row for row in patched if row["fraction"] in (None, nearest)]


def _scores(rows: list[Row], chosen: list[Row], speed: bool = False) -> Table:
    """Tasks down, conditions across; beside them tokens and speed where wanted."""
    conditions = list(dict.fromkeys(condition_label(row) for row in chosen))
    table = Table("task", "tokens", "dense", *(for_rich(name.partition(": ")[2]) for name in conditions), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    if speed:
        for heading in ("prefill speedup", "ceiling"):
            table.add_column(heading, justify="right")
    for task in dict.fromkeys(row["task"] for row in rows):
        dense = next((row for row in rows if row["task"] == task and row["patch"] == "none"), None)
        by_condition = {condition_label(row): row for row in chosen if row["task"] == task}
        line = [task, whole(dense["tokens_median"]) if dense else "", _score(dense)]
        line += [_score(by_condition.get(condition)) for condition in conditions]
        if speed:
            timed = next((row for row in by_condition.values() if row["prefill_speedup"] is not None), None)
            line.append(interval(timed["prefill_speedup"], timed["prefill_speedup_ci"]) if timed else "")
            line.append(number(timed["ceiling"]) if timed else "")
        table.add_row(*(for_rich(text) for text in line))
    return table


def _others(rows: list[Row]) -> Table:
    """A line a task and condition, whatever patch it is."""
    table = Table("task", "condition", box=None)
    for heading in ("score", "change", "prefill speedup", "KV kept"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: row["task"]):
        speed, kept = ratio(row["prefill_speedup"], row["prefill_speedup_ci"]), number(row["kv_bytes_ratio"])
        line = [row["task"], condition_label(row), number(row["score"]), change(row), speed, kept]
        table.add_row(*(for_rich(text) for text in line))
    return table


def _show_ranking(board: Board, console: Console) -> None:
    """The verdict of every model, and the first lines of the ranking."""
    lines = board.get("overall") or []
    if not any(line["patch"] != "none" for line in lines):
        return
    console.print("\n[bold]The ranking[/bold], over all tasks")
    for sentence in ranking.verdicts(lines):
        console.print(f"   {for_rich(sentence)}", highlight=False, soft_wrap=True)
    models = grouped(lines, "run", "model")
    for (_, model), ranked in models.items():
        headings, texts = ranking.table(ranked[:RANKED])
        # a condition is a row's name here: it stands first, and is not cut
        order = ("condition", "rank", *(name for name in headings if name not in ("condition", "rank")))
        table = Table(*order, box=None, title=for_rich(model) if len(models) > 1 else None, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for text in texts:
            named = dict(zip(headings, text, strict=True))
            table.add_row(*(for_rich(named[name]) for name in order))
        print_table(console, table)
        if len(ranked) > RANKED:
            console.print(f"   {len(ranked) - RANKED} more on the page", highlight=False)


def _score(row: Row | None) -> str:
    """The score; for draws, which answer other samples than the dense column, with the change on those samples."""
    if row is None:
        return ""
    change = f" ({row['delta']:+.2f})" if row["draws"] and row["delta"] is not None else ""
    return f"{row['score']:.2f}{change}"
