"""leaderboard.html: one file that opens from disk, in light and dark, on a telephone too. All text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from coreheads import display
from coreheads.leaderboard import heads_sentences


def page(board: dict[str, Any], figures: Mapping[str, Path]) -> str:
    """The page of a leaderboard; ``figures`` are PNG files by caption, embedded."""
    template = Template((Path(__file__).parent / "templates" / "leaderboard.html").read_text(encoding="utf-8"))
    models = ", ".join(dict.fromkeys(row["model"] for row in board["rows"]))
    return template.substitute(
        title=escape(f"coreheads: {models}"),
        models=escape(models),
        findings=_list(sentence for summary in board["heads"] for sentence in heads_sentences(summary)),
        figures="\n".join(_figure(caption, path) for caption, path in figures.items()),
        tables="\n".join(_section(key, rows) for key, rows in display.by_task(board["rows"]).items()),
        reading="\n".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in display.READING),
        columns="\n".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning, _ in display.COLUMNS),
        caveats=_list(display.caveats(board["rows"])),
        provenance="\n".join(_provenance(run) for run in board["runs"]),
    )


def _list(sentences: Any) -> str:
    return "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)


def _figure(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(caption, quote=True)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _section(key: tuple[str, str, str], rows: Sequence[dict[str, Any]]) -> str:
    run, model, task = key
    headings, lines = display.table(rows)
    meanings = {name: meaning for name, meaning, _ in display.COLUMNS}
    head = "".join(
        f'<th scope="col" title="{escape(meanings[name], quote=True)}">{escape(name)}</th>' for name in headings
    )
    body = "\n".join(
        f'<tr class="{_style(row)}"><th scope="row"{_title(row)}>{escape(line[0])}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in line[1:])
        + "</tr>"
        for row, line in zip(rows, lines, strict=True)
    )
    return (
        f"<section><h3>{escape(model)} on {escape(task)}</h3>"
        f"<p>Score: {escape(str(rows[0]['metric']))}. Run: {escape(run)}. Device: {escape(str(rows[0]['device']))}.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        f"{_notes(rows)}</section>"
    )


def _notes(rows: Sequence[dict[str, Any]]) -> str:
    lines = "".join(f"<li>{escape(note)}</li>" for note in display.notes(rows))
    return f"<details><summary>Notes</summary><ul>{lines}</ul></details>" if lines else ""


def _style(row: dict[str, Any]) -> str:
    return row["patch"] if row["patch"] in ("none", "hybrid", "ablate") else "other"


def _title(row: dict[str, Any]) -> str:
    return f' title="{escape(row["note"], quote=True)}"' if row["note"] else ""


def _provenance(run: dict[str, Any]) -> str:
    used = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    machine = run["machine"]
    about = f"{run['started']}, revision {run['revision'] or 'unknown'}, {used}; {machine['name']}, {machine['system']}"
    return f"<li>{escape(run['name'])}: <code>{escape(run['command'])}</code><br><small>{escape(about)}</small></li>"
