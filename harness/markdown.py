"""leaderboard.md: the board as Markdown tables."""

from __future__ import annotations

import re
from typing import Any

from coreheads import display, findings


def to_markdown(board: dict[str, Any]) -> str:
    """Tables by model and task, with how to read them and where they come from."""
    from tabulate import tabulate

    parts = ["# Leaderboard: accuracy against speedup", ""]
    for summary in board["heads"]:
        parts += [f"- {sentence}" for sentence in findings.heads_sentences(summary)]
    for (run, model, task), rows in display.by_task(board["rows"]).items():
        headings, lines = display.table(rows)
        lines = [[_plain(text) for text in line] for line in lines]
        parts += ["", f"## {_plain(model)} on {_plain(task)}", ""]
        parts += [f"Score: {rows[0]['metric']}. Run: {_plain(run)}. Device: {_plain(rows[0]['device'])}.", ""]
        parts.append(tabulate(lines, headings, tablefmt="github", disable_numparse=True))
        parts += ["", *(f"- {_plain(note)}" for note in display.notes(rows))]
    if board.get("failed"):
        parts += ["", "## Failed", ""]
        parts += [f"- {_plain(findings.failed_sentence(record))}" for record in board["failed"]]
    if board.get("left_out"):
        parts += ["", "## Left out", ""]
        parts += [f"- {_plain(findings.left_out_sentence(entry))}" for entry in board["left_out"]]
    parts += ["", "## How to read this", ""]
    parts += [f"- **{word}** {text}" for word, text in findings.READING]
    parts += ["", "## Caveats", ""] + [f"- {text}" for text in findings.caveats(board["rows"])]
    parts += ["", "## Made by", "", *(f"- {_plain(remark)}" for remark in board.get("remarks", ()))]
    for run in board["runs"]:
        used = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
        about = f"{run['started']}, {used}, revision {run['revision'] or 'unknown'}"
        parts.append(f"- {_plain(run['name'])}: `{run['command'].replace('`', '')}` ({_plain(about)})")
    return "\n".join(parts) + "\n"


def _plain(text: Any) -> str:
    """Text that cannot end a Markdown table cell or start a tag."""
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(escaped.split()))
