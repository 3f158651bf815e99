"""The charts that a board has: each with its model, its task and a line about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from coreheads.heads.profile import HeadProfile
from coreheads.report import charts
from coreheads.report.ablation_chart import ablation
from coreheads.report.chart_parts import HEIGHT
from coreheads.report.columns import by_task, grouped, whole
from coreheads.report.cost_charts import Cost, cost
from coreheads.report.cost_charts import chart as counted
from coreheads.report.head_map import head_map
from coreheads.report.pareto import by_axis
from coreheads.store.board import HeadsSummary, Overall, Row

Profiles = Mapping[tuple[str, str], HeadProfile]
"""Head profiles by run and what ``profile_name`` calls them."""


COUNTED = {"work": "counted work", "kv": "KV bytes"}


class Panel(NamedTuple):
    """A chart with what stands above it; ``rows``: those that it shows."""

    model: str
    task: str
    about: str
    chart: alt.LayerChart
    rows: Sequence[Row] = ()


def overall(lines: Sequence[Overall], colours: Mapping[str, str]) -> list[Panel]:
    """Accuracy against speedup over all tasks, for each model of each run that was timed on them."""
    panels = []
    for (_, model), ranked in grouped(lines, "run", "model").items():
        timed = [line for line in ranked if line["prefill_speedup"] is not None]
        if len(timed) > 1:
            tasks, of_speed = len(timed[0]["tasks"]), len(timed[0]["timed_tasks"])
            mean = f"mean over {tasks} tasks; speed: of {of_speed} of them"
            about = f"Accuracy against speedup: {mean}, on {timed[0]['device']}"
            panels.append(Panel(model, "", about, charts.overall(timed, colours)))
    return panels


def costs(lines: Sequence[Overall], of: Cost, colours: Mapping[str, str]) -> list[Panel]:
    """Accuracy against counted cost over all tasks, for each model with a method that saves any; ``kv``: only where
    keys are evicted."""
    panels = []
    for (_, model), ranked in grouped(lines, "run", "model").items():
        known = [line for line in ranked if cost(line, of) is not None]
        if any(line.get("question") if of == "kv" else line["patch"] != "none" for line in known):
            about = f"Accuracy against {COUNTED[of]}: mean over {len(known[0]['tasks'])} tasks{_hollow(known)}"
            panels.append(Panel(model, "", about, counted(known, of, "score (mean over tasks)", colours, charts.TALL)))
    return panels


def untimed(rows: Sequence[Row], colours: Mapping[str, str]) -> list[Panel]:
    """Accuracy against counted work for each model and task of which some method is not timed."""
    panels = []
    for (_, model, task), group in by_task(rows).items():
        known = [row for row in group if row["patch"] != "ablate" and cost(row, "work") is not None]
        if any(row["prefill_speedup"] is None and row["patch"] != "none" for row in known):
            about = f"Accuracy against {COUNTED['work']}: not all of it is timed{_hollow(known)}"
            chart = counted(known, "work", f"score ({known[0]['metric']})", colours, HEIGHT)
            panels.append(Panel(model, task, about, chart, known))
    return panels


def _hollow(lines: Sequence[Row] | Sequence[Overall]) -> str:
    unseen = any(line.get("question") == "unseen" for line in lines)
    return "; hollow and dashed: the question was not seen when keys were evicted" if unseen else ""


def tradeoffs(rows: Sequence[Row], colours: Mapping[str, str] | None = None) -> list[Panel]:
    """Accuracy against speedup, for each model, task and device, with tokens and device, a run's charts of one model on
    one axis; colours: of methods."""
    panels = []
    for timed in by_axis(rows).values():
        first = timed[0]
        beside = [row for row in rows if (row["run"], row["model"]) == (first["run"], first["model"])]
        chart = charts.tradeoff(timed, colours=colours, beside=[row for row in beside if row["prefill_speedup"]])
        panels.append(Panel(first["model"], first["task"], _where(timed), chart, timed))
    return panels


def comparisons(rows: Sequence[Row], models: Sequence[str]) -> list[Panel]:
    """The same for each task and device that several models were timed on; ``models``: all, for their colours."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for (_, *shared), timed in by_axis(rows).items():
        groups.setdefault(tuple(shared), []).extend(timed)
    return [
        Panel("", timed[0]["task"], _where(timed), charts.tradeoff(timed, models), timed)
        for timed in groups.values()
        if len({row["model"] for row in timed}) > 1
    ]


def _where(rows: Sequence[Row]) -> str:
    tokens = sorted({row["timed_tokens"] or 0 for row in rows})
    lengths = " and ".join(whole(count) if count else "unknown" for count in tokens)
    return f"{lengths} tokens on {rows[0]['device']}"


def ablations(rows: Sequence[Row]) -> list[Panel]:
    """Ablation curves, for each model, task, kind of ablation and head score."""
    panels = []
    for (_, model, task), group in by_task(rows).items():
        dense = next((row for row in group if row["patch"] == "none"), None)
        by_mode: dict[tuple[str, str | None], list[Row]] = {}
        for row in group:
            if row["patch"] == "ablate" and row["fraction"] is not None and row.get("on") is None:
                by_mode.setdefault((str(row["params"].get("mode", "zero")), row.get("head_score")), []).append(row)
        for (mode, score), chosen in by_mode.items():
            how = {"zero": "", "vision": ", the picture hidden from them"}.get(mode, f", {mode} in their place")
            about = f"{whole(chosen[0]['tokens_median'])} tokens{how}{f', heads by {score}' if score else ''}"
            panels.append(Panel(model, task, about, ablation(chosen, dense), chosen))
    return panels


def heads(model: str, profile: HeadProfile, fraction: float) -> Panel:
    """Layers x heads of RAM, the profile's top heads outlined."""
    top = profile.top(fraction)
    about = (
        f"{profile.count} heads, {profile.samples} samples; outlined: the top {100 * fraction:g} % "
        f"({len(top)} heads, {100 * profile.share(top):.0f} % of the sum)"
    )
    return Panel(model, "", about, head_map(profile, len(top)))


def shown_fraction(summary: HeadsSummary) -> float:
    """Of the fractions that a run's cells use, the one that is outlined."""
    return min((entry["fraction"] for entry in summary["top"]), key=lambda fraction: abs(fraction - 0.05))
