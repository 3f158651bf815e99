"""The page's charts: a card for each, with a title in words and its specification as inert JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt

from coreheads.report import panels
from coreheads.report.columns import SELECTIONS, kind_label
from coreheads.report.head_map import meaning
from coreheads.report.palette import by_model, kind
from coreheads.report.panels import Panel, Profiles
from coreheads.store.board import HeadsSummary, Row


def tradeoffs(rows: Sequence[Row]) -> str:
    """Accuracy against speedup: charts in which models are compared, then those of each model."""
    drawn = panels.tradeoffs(rows)
    lines = "bars: 95 % intervals; stairs: the Pareto front; dashed: the ceiling"
    return _comparisons(rows) + _cards(drawn) + _key(drawn, lines)


def _comparisons(rows: Sequence[Row]) -> str:
    models = list(dict.fromkeys(row["model"] for row in rows))
    drawn = panels.comparisons(rows, models)
    if not drawn:
        return ""
    compared = {row["model"] for panel in drawn for row in panel.rows}
    colours = "".join(
        f'<li><i class="dot" style="--dot:{colour}"></i><bdi>{escape(model)}</bdi></li>'
        for model, colour in by_model(models).items()
        if model in compared
    )
    shapes = '<li class="soft">circles: dense; diamonds: top heads; other shapes: other selections</li>'
    grid = "\n".join(map(_card, drawn))
    return f'<h3>All models</h3><div class="cards">{grid}</div><ul class="key">{colours}{shapes}</ul>'


def ablations(rows: Sequence[Row]) -> str:
    """Ablation curves: a card for each model, task and kind of ablation."""
    drawn = panels.ablations(rows)
    return _cards(drawn) + _key(drawn, "bands: 95 % intervals; dashed: no head off")


def head_maps(summaries: Sequence[HeadsSummary], profiles: Profiles) -> str:
    """Layers x heads of RAM: a card for each profile."""
    cards = []
    for summary in summaries:
        profile = profiles.get((summary["run"], summary["model"]))
        if profile is not None:
            low, high = min(0.0, float(profile.mean.min())), float(profile.mean.max())
            words = escape(meaning(profile))
            scale = f'<p class="scale"><span>{low:.2g}</span><i></i><span>{high:.2g}</span> {words}</p>'
            width = max(24, min(70, round(1.7 * profile.shape[1] + 4)))
            panel = panels.heads(summary["model"], profile, panels.shown_fraction(summary))
            cards.append(_card(panel, scale, f"max-width:{width}rem"))
    return "\n".join(cards)


def inert(value: Any) -> str:
    """JSON that cannot end or start a tag, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _cards(drawn: Sequence[Panel]) -> str:
    parts = []
    for model in dict.fromkeys(panel.model for panel in drawn):
        cards = "\n".join(_card(panel) for panel in drawn if panel.model == model)
        title = f'<h3 data-model="{escape(model)}"><bdi>{escape(model)}</bdi></h3>'
        parts.append(f'{title}<div class="cards">{cards}</div>')
    return "\n".join(parts)


def _card(panel: Panel, more: str = "", style: str = "") -> str:
    marks = {"data-model": panel.model, "data-task": panel.task, "style": style}
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in marks.items() if value)
    return (
        f'<figure class="card"{attributes}>'
        f"<figcaption><b><bdi>{escape(panel.task or panel.model)}</bdi></b>"
        f"<small>{escape(panel.about)}</small></figcaption>"
        f'<div class="chart"></div>'
        f'<script type="application/json">{inert(_spec(panel.chart))}</script>{more}</figure>'
    )


def _spec(chart: alt.LayerChart) -> dict[str, Any]:
    """A chart as wide as its card, without the defaults that the page sets for all."""
    fitted = chart.properties(
        width="container",
        background="transparent",
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    return {name: value for name, value in fitted.to_dict().items() if name not in ("config", "$schema")}


def _key(drawn: Sequence[Panel], lines: str) -> str:
    """Colours in words, once for all cards."""
    kinds = {kind(row) for panel in drawn for row in panel.rows}
    if not kinds:
        return ""
    entries = "".join(
        f'<li><i class="dot k-{name}"></i>{escape(kind_label(name))}</li>'
        for name in ("dense", *SELECTIONS, *sorted(kinds - {"dense", *SELECTIONS}))
        if name in kinds
    )
    return f'<ul class="key">{entries}<li class="soft">{escape(lines)}</li></ul>'
