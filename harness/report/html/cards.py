"""The page's charts: a card for each, with a title in words and its specification as inert JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from coreheads.heads.profile import HeadProfile
from coreheads.report import columns as display
from coreheads.report.html import head_map, specs
from coreheads.report.palette import by_model, kind
from coreheads.report.pareto import axis, by_axis

Row = dict[str, Any]
Profiles = Mapping[tuple[str, str], HeadProfile]


def tradeoffs(rows: Sequence[Row]) -> str:
    """Accuracy against speedup: a card for each model, task and device, with tokens and device in its title; before
    them a card for each task and device that several models were timed on."""
    timed = [row for row in rows if row["prefill_speedup"] is not None]
    cards = [
        (str(mine[0]["model"]), str(mine[0]["task"]), _where(mine), specs.tradeoff(mine))
        for mine in by_axis(timed).values()
    ]
    lines = "bars: 95 % intervals; stairs: the Pareto front; dashed: the ceiling"
    return _comparisons(timed) + _cards(cards) + _key(timed, lines)


def _comparisons(timed: Sequence[Row]) -> str:
    shared: dict[tuple[str, ...], list[Row]] = {}
    for row in timed:
        shared.setdefault(axis(row)[1:], []).append(row)
    shared = {key: mine for key, mine in shared.items() if len({row["model"] for row in mine}) > 1}
    if not shared:
        return ""
    models = list(dict.fromkeys(str(row["model"]) for mine in shared.values() for row in mine))
    cards = [
        _card("", str(mine[0]["task"]), str(mine[0]["task"]), _where(mine), specs.tradeoff(mine, models))
        for mine in shared.values()
    ]
    colours = "".join(
        f'<li><i class="dot" style="--dot:{colour}"></i><bdi>{escape(model)}</bdi></li>'
        for model, colour in by_model(models).items()
    )
    shapes = '<li class="soft">circles: dense; diamonds: top heads; other shapes: other selections</li>'
    grid = "\n".join(cards)
    return f'<h3>All models</h3><div class="cards">{grid}</div><ul class="key">{colours}{shapes}</ul>'


def _where(rows: Sequence[Row]) -> str:
    tokens = sorted({row.get("timed_tokens") or 0 for row in rows})
    known = [display.whole(count) if count else "unknown" for count in tokens]
    return f"{' and '.join(known)} tokens on {rows[0]['device']}"


def ablations(rows: Sequence[Row]) -> str:
    """Ablation curves: a card for each model, task and kind of ablation."""
    cards, drawn = [], []
    for (_, model, task), mine in display.by_task(rows).items():
        dense = [row for row in mine if row["patch"] == "none"]
        curves = [row for row in mine if row["patch"] == "ablate" and row["fraction"] is not None]
        for mode in dict.fromkeys(str(row["params"].get("mode", "zero")) for row in curves):
            chosen = [row for row in curves if str(row["params"].get("mode", "zero")) == mode]
            how = "" if mode == "zero" else f", {mode} in their place"
            about = f"{display.whole(chosen[0]['tokens_median'])} tokens{how}"
            cards.append((model, task, about, specs.ablation([*dense, *chosen])))
            drawn += chosen
    return _cards(cards) + _key(drawn, "bands: 95 % intervals; dashed: no head off")


def head_maps(summaries: Sequence[dict[str, Any]], profiles: Profiles) -> str:
    """Layers x heads of RAM: a card for each profile."""
    parts = []
    for summary in summaries:
        profile = profiles.get((summary["run"], summary["model"]))
        if profile is None:
            continue
        entry = min(summary["top"], key=lambda entry: abs(entry["fraction"] - 0.05))
        about = (
            f"{profile.count} heads, {profile.samples} samples; outlined: the top {100 * entry['fraction']:g} % "
            f"({entry['count']} heads, {100 * entry['share']:.0f} % of the sum)"
        )
        low, high = min(0.0, float(profile.mean.min())), float(profile.mean.max())
        scale = f'<p class="scale"><span>{low:.2g}</span><i></i><span>{high:.2g}</span> {escape(_score(profile))}</p>'
        width = max(24, min(70, round(1.7 * profile.shape[1] + 4)))
        spec = head_map.head_map(profile, entry["count"])
        parts.append(_card(summary["model"], "", "", about, spec, scale, f"max-width:{width}rem"))
    return "\n".join(parts)


def inert(value: Any) -> str:
    """JSON that cannot end or start a tag, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _score(profile: HeadProfile) -> str:
    names = {None: "RAM", "vision": "RAM within the attention to pictures", "lift": "RAM over a uniform reader's"}
    return names[profile.normalization] if profile.score == "ram" else profile.score


def _cards(cards: Sequence[tuple[str, str, str, Any]]) -> str:
    parts = []
    for model in dict.fromkeys(model for model, *_ in cards):
        mine = [card for card in cards if card[0] == model]
        drawn = "\n".join(_card(model, task, task, about, spec) for _, task, about, spec in mine)
        title = f'<h3 data-model="{escape(model)}"><bdi>{escape(model)}</bdi></h3>'
        parts.append(f'{title}<div class="cards">{drawn}</div>')
    return "\n".join(parts)


def _card(model: str, task: str, title: str, about: str, spec: Any, more: str = "", style: str = "") -> str:
    names = {"model": model, "task": task}
    marks = " ".join(f'data-{name}="{escape(value)}"' for name, value in names.items() if value)
    return (
        f'<figure class="card" {marks}{f" style={chr(34)}{style}{chr(34)}" if style else ""}>'
        f"<figcaption><b><bdi>{escape(title or model)}</bdi></b><small>{escape(about)}</small></figcaption>"
        f'<div class="chart"></div>'
        f'<script type="application/json">{inert(spec)}</script>{more}</figure>'
    )


def _key(rows: Sequence[Row], lines: str) -> str:
    """Colours in words, once for all cards."""
    kinds = dict.fromkeys(kind(row) for row in rows)
    if not kinds:
        return ""
    names = {"dense": "dense", **display.SELECTIONS}
    entries = "".join(
        f'<li><i class="dot k-{name}"></i>{escape(names.get(name, name))}</li>'
        for name in (*names, *(set(kinds) - names.keys()))
        if name in kinds
    )
    return f'<ul class="key">{entries}<li class="soft">{escape(lines)}</li></ul>'
