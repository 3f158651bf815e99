"""leaderboard.md: the board as Markdown tables."""

from __future__ import annotations

from coreheads.report import budgets, claims, findings, left_out, ranking
from coreheads.report.columns import by_task, notes, table
from coreheads.store.board import Board
from coreheads.text import markdown, markdown_code


def to_markdown(board: Board) -> str:
    """Tables by model and task, with how to read them and where they come from."""
    parts = ["# Leaderboard: accuracy against speedup", ""]
    parts += [f"- {markdown(sentence)}" for sentence in ranking.verdicts(board.get("overall", []))]
    for summary in board["heads"]:
        parts += [f"- {markdown(sentence)}" for sentence in findings.heads_sentences(summary)]
    if ranked := board.get("overall"):
        headings, texts = ranking.table(ranked)
        lines = [[line["model"], *text] for line, text in zip(ranked, texts, strict=True)]
        parts += ["", "## Ranking", "", *_table(["model", *headings], lines), ""]
        parts += [f"- {markdown(sentence)}" for sentence in ranking.fronts(ranked)]
    if board.get("best"):
        parts += ["", "## The best at a speed, within a point of the dense score", ""]
        parts += _table(*ranking.best_table(board["best"]))
    if board.get("comparisons"):
        parts += ["", "## On one budget", "", *_table(*budgets.table(board["comparisons"]))]
    if board.get("claims"):
        parts += ["", "## Claims", "", *_table(*claims.table(board["claims"]))]
    for (run, model, task), rows in by_task(board["rows"]).items():
        headings, lines = table(rows)
        parts += ["", f"## {markdown(model)} on {markdown(task)}", ""]
        parts += [
            f"Score: {markdown(rows[0]['metric'])}. Run: {markdown(run)}. Device: {markdown(rows[0]['device'])}.",
            "",
        ]
        parts += _table(headings, lines)
        parts += ["", *(f"- {markdown(note)}" for note in notes(rows))]
    made = [markdown(remark) for remark in board["remarks"]]
    for source in board["runs"]:
        command = markdown_code(source["command"])
        made.append(f"{markdown(source['name'])}: {command} ({markdown(findings.made_by(source))})")
    lists = {
        "Failed": [markdown(findings.failed_sentence(record)) for record in board["failed"]],
        "Left out": list(map(markdown, left_out.sentences(board["left_out"]))),
        "How to read this": [f"**{word}** {text}" for word, text in findings.READING],
        "Caveats": [markdown(text) for text in findings.caveats(board["rows"])],
        "Made by": made,
    }
    for title, lines_below in lists.items():
        if lines_below:
            parts += ["", f"## {title}", "", *(f"- {line}" for line in lines_below)]
    return "\n".join(parts) + "\n"


def _table(headings: list[str], lines: list[list[str]]) -> list[str]:
    from tabulate import tabulate

    escaped = [[markdown(text) for text in line] for line in lines]
    return [tabulate(escaped, headings, tablefmt="github", disable_numparse=True)]
