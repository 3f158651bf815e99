"""leaderboard.html: one file that opens from disk, in light and dark, on a telephone too. All text is escaped. Tables
and words are in the HTML and can be read without a script; the script sorts, filters, draws and writes downloads."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from coreheads.report import budgets, claims, columns, findings, left_out, palette, panels, ranking
from coreheads.report.columns import COLUMNS, by_task, kind_label
from coreheads.report.example_files import BYTES, Example, choose, picture
from coreheads.report.html import links, tables
from coreheads.report.html import samples as in_page
from coreheads.report.html.samples import Samples
from coreheads.report.html.specs import Specs, cards, depth, maps
from coreheads.report.panels import Profiles
from coreheads.report.pareto import by_axis, pareto
from coreheads.store.board import Board, Overall
from coreheads.text import json_text

TEMPLATES = Path(__file__).parent / "templates"
STYLES = ("page.css", "tables.css", "narrow.css", "samples.css")
SCRIPTS = ("samples.js", "charts.js", "state.js", "tables.js", "page.js")
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
    samples: Samples | None = None,
    *,
    places: Mapping[str, str] | None = None,
) -> str:
    """The page of a leaderboard.

    Args:
        board: the content of leaderboard.json.
        profiles: head profiles by run and what ``profile_name`` calls them.
        examples: pictures (JPEG) of what heads look at, embedded as far as they fit.
        samples: what was asked and answered, embedded as far as it fits, before the examples.
        places: the address of the folder of every run that lies beside the page, which then links to its files.
    """
    rows = board["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    groups = list(by_task(rows).values())
    content = {
        "board": board,
        "models": models,
        "named": ", ".join(models[:MODELS]) + (f" and {len(models) - MODELS} more" if len(models) > MODELS else ""),
        "several": len(models) > 1,
        "method": columns.method,
        **_ranking(board, models),
        **_charts(board, profiles, models),
        "columns": [column for column in COLUMNS if any(map(column.text, rows))] or [COLUMNS[0]],
        "keys": ["model", "task", *(["run"] if len({row["run"] for row in rows}) > 1 else [])],
        "groups": groups,
        "front": {id(row) for group in by_axis(rows).values() for row in pareto(group) if len(group) > 1},
        "notes": [(group[0], lines) for group in groups if (lines := columns.notes(group))],
        "claims": claims.table(board.get("claims", [])),
        "failed": list(map(findings.failed_sentence, board["failed"])),
        "left_out": left_out.sentences(board["left_out"]),
        "caveats": findings.caveats(rows),
        "model_links": links.models(board),
        "task_links": links.tasks(board),
        "places": places or {},
        "downloads": tables.downloads(board),
    }
    template = _environment().get_template("leaderboard.html")
    bare = template.render(content, pictures=[], samples="")
    left = PAGE_BYTES - len(bare.encode("utf-8", "backslashreplace"))
    held = in_page.packed(samples, min(in_page.BYTES, max(0, left))) if samples else ""
    room = (left - len(held)) * 3 // 4  # base64 takes four bytes for three
    chosen = choose(examples, PICTURES_PER_MODEL, BYTES, max(0, room))
    pictures = [(example, base64.b64encode(picture(path)).decode("ascii")) for example, path in chosen]
    return template.render(content, pictures=pictures, samples=held) if pictures or held else bare


def _ranking(board: Board, models: Sequence[str]) -> dict[str, Any]:
    """What stands at the top: sentences, the ranking, and what is read from it."""
    ranked = board.get("overall", [])
    figures = ranking.used(ranked)
    verdicts, dependence = ranking.verdicts(ranked), findings.dependence(board["rows"])
    return {
        "sentences": [(_of(models, sentence), sentence) for sentence in (*verdicts, *dependence)],
        "first": min(FINDINGS, len(verdicts)) if len(models) > 1 and verdicts else FINDINGS,
        "ranked": ranked,
        "figures": figures,
        "ranking": tables.ranked(ranked, figures),
        "fronts": [(_of(models, sentence), sentence) for sentence in ranking.fronts(ranked)],
        "front_overall": _fronts(ranked),
        "best_lines": {id(line) for line in ranked if line["rank"] == 1 and line["patch"] != "none"},
        "budgets": _named(models, *budgets.table(board.get("comparisons", []))),
        "best": _named(models, *ranking.best_table(board.get("best", []))),
    }


def _charts(board: Board, profiles: Profiles, models: Sequence[str]) -> dict[str, Any]:
    """Everything that is drawn."""
    rows, ranked = board["rows"], board.get("overall", [])
    methods = palette.by_method(columns.method(row) for row in rows if row["patch"] != "ablate")
    compared = panels.comparisons(rows, models)
    among, by_model = {row["model"] for panel in compared for row in panel.rows}, palette.by_model(list(models))
    drawn = Specs()
    timed = panels.tradeoffs(rows, methods)
    there = {(panel.model, panel.task) for panel in timed}
    untimed = [panel for panel in panels.untimed(rows, methods) if (panel.model, panel.task) not in there]
    tradeoffs = cards([*timed, *untimed], drawn)
    costs = (*panels.costs(ranked, "work", methods), *panels.costs(ranked, "kv", methods))
    return {
        "methods": methods,
        "overall": list(map(drawn.add, panels.overall(ranked, methods))),
        "counted": list(map(drawn.add, costs)),
        "compared": list(map(drawn.add, compared)),
        "colours": {model: colour for model, colour in by_model.items() if model in among},
        "model_colours": by_model,
        "tradeoffs": tradeoffs,
        "overall_keys": [(name, methods[name]) for name in dict.fromkeys(line["method"] for line in ranked)],
        "task_keys": [(name, methods[name]) for name in tradeoffs.methods] if tradeoffs else [],
        "ablations": cards(panels.ablations(rows), drawn),
        "maps": list(maps(board["heads"], profiles, drawn)),
        "depth": depth(board["heads"], profiles, drawn),
        "specs": tables.packed(json_text(drawn, separators=(",", ":"))),
    }


@cache
def _environment() -> Environment:
    """What all pages have in common: libraries, styles and words."""
    import vl_convert

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["class_name"] = lambda name: re.sub(r"[^A-Za-z0-9]", "_", name)
    made.filters["breakable"] = _breakable
    made.filters["figure"] = _figure
    made.filters["clipped"] = lambda value: min(1.0, max(0.0, value))
    made.globals |= {
        "id": id,
        "kind": palette.kind,
        "kind_label": kind_label,
        "made_by": findings.made_by,
        "palette": palette,
        "widths": tables,
        "links": links,
        "busy": columns.BUSY,
        "reading": findings.READING,
        "meanings": [(column.name, column.meaning) for column in COLUMNS],
        "style": _text(STYLES),
        "script": _text(SCRIPTS),
        # Vega, Vega-Lite and Vega-Embed as shipped by their Python package: sets window.vegaEmbed
        "charts_library": tables.packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")),
        # DataTables with its RowGroup extension and jQuery, an ES module whose default export is DataTable
        "tables_library": tables.packed((files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")),
    }
    return made


def _text(names: Sequence[str]) -> Markup:
    return Markup("\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names))


def _of(models: Sequence[str], sentence: str) -> str:
    """The model that a sentence begins with; empty where it begins with none."""
    return max((model for model in models if sentence.startswith(f"{model}: ")), key=len, default="")


def _fronts(ranked: Sequence[Overall]) -> set[int]:
    """Which lines no other of their model beats in score and speed at once."""
    groups = columns.grouped(ranked, "run", "model").values()
    return {id(line) for lines in groups for line in pareto([line for line in lines if line["prefill_speedup"]])}


def _named(models: Sequence[str], headings: list[str], lines: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without its first column, the model's, where the page has one model."""
    return (headings, lines) if len(models) > 1 else (headings[1:], [line[1:] for line in lines])


def _figure(text: str) -> Markup:
    """A number with its interval on one line, what stands behind it in brackets below."""
    number, bracket, rest = text.replace(", ", ",\u00a0").partition(" (")
    return escape(number) + (Markup("<br><small>%s</small>") % rest.removesuffix(")") if bracket else "")


def _breakable(text: str) -> Markup:
    """A name that may go on in the next line behind an underscore or slash, and nowhere else within a word; a number
    stays with its per cent."""
    return Markup(re.sub(r"(?<=[_/])(?=[^_/])", "<wbr>", str(escape(text.replace(" %", "\u00a0%")))))
