"""The page's charts: a card for each, with a title in words and its specification as inert JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from coreheads import charts, charts_heads, display
from coreheads.colours import kind
from coreheads.front import by_axis
from coreheads.profile import HeadProfile

Row = dict[str, Any]
Profiles = Mapping[tuple[str, str], HeadProfile]


def tradeoffs(rows: Sequence[Row]) -> str:
    """Accuracy against speedup: a card for each model, task and device; tokens and device stand in its title."""
    cards = []
    for mine in by_axis(rows).values():
        tokens = list(dict.fromkeys(display.whole(row.get("timed_tokens")) or "unknown" for row in mine))
        about = f"{' and '.join(tokens)} tokens on {mine[0]['device']}"
        cards.append((str(mine[0]["model"]), str(mine[0]["task"]), about, charts.tradeoff(mine)))
    return _cards(cards) + _key(
        [row for row in rows if row["prefill_speedup"] is not None],
        "bars: 95 % intervals; stairs: the Pareto front; dashed: the ceiling",
    )


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
            cards.append((model, task, about, charts.ablation([*dense, *chosen])))
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
        spec = charts_heads.head_map(profile, entry["count"])
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
    marks = f'data-model="{escape(model)}"' + (f' data-task="{escape(task)}"' if task else "")
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
