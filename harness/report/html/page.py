"""leaderboard.html: one file that opens from disk, in light and dark, on a telephone too. All text is escaped.

The table and all words are in the HTML and can be read without a script; the script sorts, filters and draws.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from coreheads.report import findings, palette
from coreheads.report.columns import COLUMNS
from coreheads.report.example_files import BYTES, Example, choose
from coreheads.report.html import cards
from coreheads.report.html.table import notes, table
from coreheads.report.panels import Profiles
from coreheads.store.board import Board, HeadsSummary, LeftOut, RunSummary

TEMPLATES = Path(__file__).parent / "templates"
PLACES = {
    "tradeoff": "Trade-off", "board-section": "Table", "ablation": "Ablation", "heads": "Heads",
    "examples": "Examples", "failed": "Failed", "reading": "How to read this", "made": "Made by",
}  # fmt: skip
MODELS = 6
"""How many are named at the top."""
FINDINGS = 10
"""How many sentences stand at the top, the others behind a click."""
PICTURES_PER_MODEL = 2
PAGE_BYTES = 2_950_000
"""Pictures are embedded as long as the page stays below this."""


def page(
    board: Board,
    profiles: Profiles,
    examples: Sequence[tuple[Example, Path]] = (),
) -> str:
    """The page of a leaderboard.

    board: the content of leaderboard.json. profiles: head profiles by (run, model). examples: pictures (JPEG) of what
    heads look at, embedded as far as they fit.
    """
    rows = board["rows"]
    names = list(dict.fromkeys(row["model"] for row in rows))
    more = f" and {len(names) - MODELS} more" if len(names) > MODELS else ""
    models = ", ".join(names[:MODELS]) + more
    parts = {
        "tradeoff": _section("Accuracy against speedup", "tradeoff", cards.tradeoffs(rows)),
        "ablation": _section("With heads switched off", "ablation", cards.ablations(rows)),
        "heads": _section("Which heads look at what is asked about", "heads", _heads(board["heads"], profiles)),
        "examples": "",
        "failed": _section("Failed", "failed", _list(map(findings.failed_sentence, board["failed"]))),
        "left_out": _left_out(board["left_out"]),
    }
    values = {
        "title": escape(f"coreheads: {models}"),
        "models": escape(models),
        "findings": _findings([*findings.dependence(rows), *findings.headlines(rows)]),
        "style": _template("page.css") + _colours(),
        "script": _template("page.js"),
        "charts_library": _charts_library(),
        "tables_library": _tables_library(),
        "table": table(rows),
        "notes": notes(rows),
        "reading": _definitions(findings.READING),
        "columns": _definitions((column.name, column.meaning) for column in COLUMNS),
        "caveats": _list(findings.caveats(rows)),
        "remarks": _list(board["remarks"]),
        "provenance": "\n".join(_provenance(run) for run in board["runs"]),
    }
    template = Template(_template("leaderboard.html"))
    # base64 takes four bytes for three
    room = (PAGE_BYTES - len(template.substitute(values, navigation="", **parts).encode())) * 3 // 4
    pictures = "\n".join(_picture(*one) for one in choose(examples, PICTURES_PER_MODEL, BYTES, max(0, room)))
    grid = f'<div class="pictures">{pictures}</div>' if pictures else ""
    parts["examples"] = _section("What a head looks at", "examples", grid)
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in PLACES.items() if parts.get(name) != "")
    return template.substitute(values, navigation=links, **parts)


@cache
def _charts_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as shipped by their Python package: sets ``window.vegaEmbed``."""
    import vl_convert

    return _packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def _tables_library() -> str:
    """DataTables with its RowGroup extension and jQuery, an ES module whose default export is ``DataTable``."""
    return _packed((files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8"))


def _packed(text: str) -> str:
    """Compressed to a third, and because a library that holds ``<script>`` must not meet the HTML parser; browsers
    unpack it with ``DecompressionStream``."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _colours() -> str:
    """A class for each kind of condition."""
    rules = [f".k-{name} {{ --dot: {value}; }}" for name, value in palette.KINDS.items()]
    return "\n".join([f".dot {{ --dot: {palette.OTHER}; }}", ".k-dense { --dot: currentColor; }", *rules])


def _section(title: str, name: str, content: str) -> str:
    return f'<section id="{name}"><h2>{escape(title)}</h2>{content}</section>' if content else ""


def _findings(sentences: Sequence[str]) -> str:
    rest = _list(sentences[FINDINGS:])
    more = f"<details><summary>{len(sentences) - FINDINGS} more</summary>{rest}</details>" if rest else ""
    return _list(sentences[:FINDINGS]) + more


def _heads(summaries: Sequence[HeadsSummary], profiles: Profiles) -> str:
    sentences = [sentence for summary in summaries for sentence in findings.heads_sentences(summary)]
    return cards.head_maps(summaries, profiles) + _list(sentences)


def _list(sentences: Iterable[str]) -> str:
    lines = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{lines}</ul>" if lines else ""


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in pairs)


def _picture(example: Example, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(example.caption)
    marks = f'data-model="{escape(example.model)}" data-task="{escape(example.task)}"'
    about = escape(f"{example.model} on {example.task}, record {example.record_id}")
    return (
        f'<figure class="picture" {marks}><img src="data:image/jpeg;base64,{data}" alt="{text}">'
        f"<figcaption><b>{about}</b><small>{text}</small></figcaption></figure>"
    )


def _left_out(entries: Sequence[LeftOut]) -> str:
    if not entries:
        return ""
    lines = _list(map(findings.left_out_sentence, entries))
    return f"<details><summary>Left out ({len(entries)})</summary>{lines}</details>"


def _provenance(run: RunSummary) -> str:
    about = f"{findings.made_by(run)}; {run['machine']['name']}, {run['machine']['system']}"
    return f"<li>{escape(run['name'])}: <code>{escape(run['command'])}</code><br><small>{escape(about)}</small></li>"
