"""leaderboard.html: one file that opens from disk, in light and dark, on a telephone too. All text is escaped. Table
and words are in the HTML and can be read without a script; the script sorts, filters and draws."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from coreheads.heads.types import profile_name
from coreheads.report import budgets, claims, columns, findings, left_out, palette, panels, ranking
from coreheads.report.columns import COLUMNS, SELECTIONS, by_task, kind_label
from coreheads.report.example_files import BYTES, Example, choose, picture
from coreheads.report.head_map import meaning
from coreheads.report.html import samples as in_page
from coreheads.report.html.samples import Samples
from coreheads.report.panels import Panel, Profiles
from coreheads.report.pareto import by_axis, pareto
from coreheads.store.board import Board, HeadsSummary, Row
from coreheads.text import json_text

TEMPLATES = Path(__file__).parent / "templates"
MODELS = 6
"""How many are named at the top."""
FINDINGS = 10
"""How many sentences stand at the top, the others behind a click."""
PICTURES_PER_MODEL = 2
PAGE_BYTES = 2_950_000
"""Pictures are embedded as long as the page stays below this."""


class Cards(NamedTuple):
    """Charts with their specifications by model, and the rows that they show."""

    models: dict[str, list[tuple[Panel, Markup]]]
    rows: list[Row]

    @property
    def methods(self) -> list[str]:
        """What is a curve."""
        return list(dict.fromkeys(columns.method(row) for row in self.rows))

    @property
    def kinds(self) -> list[str]:
        """What is a curve where heads are switched off."""
        kinds = {palette.kind(row) for row in self.rows}
        return [name for name in SELECTIONS if name in kinds]


def page(
    board: Board,
    profiles: Profiles,
    examples: Sequence[tuple[Example, Path]] = (),
    samples: Samples | None = None,
) -> str:
    """The page of a leaderboard.

    Args:
        board: the content of leaderboard.json.
        profiles: head profiles by run and what ``profile_name`` calls them.
        examples: pictures (JPEG) of what heads look at, embedded as far as they fit.
        samples: what was asked and answered, embedded as far as it fits, before the examples.
    """
    rows = board["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    compared = panels.comparisons(rows, models)
    among = {row["model"] for panel in compared for row in panel.rows}
    groups = list(by_task(rows).values())
    ranked = board.get("overall", [])
    methods = palette.by_method(columns.method(row) for row in rows if row["patch"] != "ablate")
    content = {
        "board": board,
        "models": ", ".join(models[:MODELS]) + (f" and {len(models) - MODELS} more" if len(models) > MODELS else ""),
        "sentences": [*ranking.verdicts(ranked), *findings.dependence(rows)],
        "ranked": ranked,
        "ranking": ranking.table(ranked),
        "ranking_means": ranking.HEADINGS,
        "busy": f" ({columns.BUSY})",
        "fronts": ranking.fronts(ranked),
        "overall": [(panel, _spec(panel.chart)) for panel in panels.overall(ranked, methods)],
        "counted": [
            (panel, _spec(panel.chart))
            for panel in (*panels.costs(ranked, "work", methods), *panels.costs(ranked, "kv", methods))
        ],
        "overall_methods": list(dict.fromkeys(line["method"] for line in ranked)),
        "front_overall": {
            id(line)
            for lines in columns.grouped(ranked, "run", "model").values()
            for line in pareto([line for line in lines if line["prefill_speedup"]])
        },
        "fastest": max((line["prefill_speedup"] or 1.0 for line in ranked), default=1.0),
        "several": len(models) > 1,
        "methods": methods,
        "method": columns.method,
        "claims": claims.table(board.get("claims", [])),
        "budgets": _named(models, *budgets.table(board.get("comparisons", []))),
        "best": _named(models, *ranking.best_table(board.get("best", []))),
        "compared": [(panel, _spec(panel.chart)) for panel in compared],
        "colours": {model: colour for model, colour in palette.by_model(models).items() if model in among},
        "tradeoffs": _cards([*panels.tradeoffs(rows, methods), *panels.untimed(rows, methods)]),
        "ablations": _cards(panels.ablations(rows)),
        "maps": list(_maps(board["heads"], profiles)),
        "of_heads": [sentence for summary in board["heads"] for sentence in findings.heads_sentences(summary)],
        "columns": [column for column in COLUMNS if any(map(column.text, rows))] or [COLUMNS[0]],
        "keys": ["model", "task", *(["run"] if len({row["run"] for row in rows}) > 1 else [])],
        "groups": groups,
        "front": {id(row) for group in by_axis(rows).values() for row in pareto(group) if len(group) > 1},
        "notes": [(group[0], lines) for group in groups if (lines := columns.notes(group))],
        "failed": list(map(findings.failed_sentence, board["failed"])),
        "left_out": left_out.sentences(board["left_out"]),
        "reading": findings.READING,
        "meanings": [(column.name, column.meaning) for column in COLUMNS],
        "caveats": findings.caveats(rows),
    }
    template = _environment().get_template("leaderboard.html")
    bare = template.render(content, pictures=[], samples="")
    left = PAGE_BYTES - len(bare.encode("utf-8", "backslashreplace"))
    held = in_page.packed(samples, min(in_page.BYTES, max(0, left))) if samples else ""
    room = (left - len(held)) * 3 // 4  # base64 takes four bytes for three
    chosen = choose(examples, PICTURES_PER_MODEL, BYTES, max(0, room))
    pictures = [(example, base64.b64encode(picture(path)).decode("ascii")) for example, path in chosen]
    return template.render(content, pictures=pictures, samples=held)


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
    made.filters["clipped"] = lambda value: min(1.0, max(0.0, value))
    made.globals |= {
        "id": id,
        "kind": palette.kind,
        "kind_label": kind_label,
        "made_by": findings.made_by,
        "palette": palette,
        "shown": FINDINGS,
        "style": Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        "samples_style": Markup((TEMPLATES / "samples.css").read_text(encoding="utf-8")),
        "samples_script": Markup((TEMPLATES / "samples.js").read_text(encoding="utf-8")),
        "script": Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        # Vega, Vega-Lite and Vega-Embed as shipped by their Python package: sets window.vegaEmbed
        "charts_library": _packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")),
        # DataTables with its RowGroup extension and jQuery, an ES module whose default export is DataTable
        "tables_library": _packed((files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")),
    }
    return made


def _named(models: Sequence[str], headings: list[str], lines: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without its first column, the model's, where the page has one model."""
    return (headings, lines) if len(models) > 1 else (headings[1:], [line[1:] for line in lines])


def _breakable(text: str) -> Markup:
    """A name that may go on in the next line behind an underscore or slash, and nowhere else within a word; a number
    stays with its per cent."""
    return Markup(re.sub(r"(?<=[_/])(?=[^_/])", "<wbr>", str(escape(text.replace(" %", "\u00a0%")))))


def _packed(text: str) -> str:
    """Compressed, and so that a library that holds ``<script>`` does not meet the HTML parser."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def _cards(drawn: Sequence[Panel]) -> Cards | None:
    """None where there is nothing to draw."""
    models: dict[str, list[tuple[Panel, Markup]]] = {}
    for panel in drawn:
        models.setdefault(panel.model, []).append((panel, _spec(panel.chart)))
    return Cards(models, [row for panel in drawn for row in panel.rows]) if drawn else None


def _maps(
    summaries: Sequence[HeadsSummary], profiles: Profiles
) -> Iterator[tuple[Panel, Markup, int, tuple[str, str, str]]]:
    """For each profile its map, how wide it is in rem, and its scale: (from, to, in words)."""
    for summary in summaries:
        name = profile_name(summary["model"], summary.get("score"))
        profile = profiles.get((summary["run"], name))
        if profile is not None:
            panel = panels.heads(name, profile, panels.shown_fraction(summary))
            scale = f"{min(0.0, profile.mean.min()):.2g}", f"{profile.mean.max():.2g}", meaning(profile)
            yield panel, _spec(panel.chart), max(24, min(70, round(1.7 * profile.shape[1] + 4))), scale


def _spec(chart: alt.LayerChart) -> Markup:
    """A chart as wide as its card, without the defaults that the page sets for all."""
    fitted = chart.properties(
        width="container", background="transparent", autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    )
    return inert({name: value for name, value in fitted.to_dict().items() if name not in ("config", "$schema")})


def inert(value: Any) -> Markup:
    """JSON that cannot end or start a tag, whatever text it holds."""
    text = json_text(value, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)
