"""The ranking of a board as text: the same words and figures on the page, in Markdown and in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from coreheads.report.columns import BUSY, BUSY_MEANS, change, duration, grouped, number, ratio, score, speed
from coreheads.report.pareto import pareto
from coreheads.store.board import Best, Overall


class Figure(NamedTuple):
    """A column of the ranking."""

    name: str
    meaning: str
    text: Callable[[Overall], str]
    value: Callable[[Overall], float | None] | None = None
    """What it sorts by; None: by the text."""
    best: Callable[[Iterable[float]], float] | None = None
    """Which of several is the best: ``max`` or ``min``; None where none is."""


FIGURES = (
    Figure(
        "rank",
        "first what keeps the score within a point of dense, by speed; then the others by score",
        lambda line: str(line["rank"]),
        lambda line: line["rank"],
    ),
    Figure("condition", "what was done to the model", lambda line: line["condition"]),
    Figure(
        "prefill speedup",
        f"dense over this, geometric mean over the timed tasks, 95 % interval; {BUSY}: {BUSY_MEANS}",
        lambda line: speed(line["prefill_speedup"], line["prefill_speedup_ci"]),
        lambda line: line["prefill_speedup"],
        max,
    ),
    Figure(
        "score",
        "mean over tasks, 95 % interval",
        score,
        lambda line: line["score"],
        max,
    ),
    Figure(
        "change",
        "against dense on the same samples",
        change,
        lambda line: line["delta"],
        max,
    ),
    Figure(
        "end to end",
        "the speedup from media to answer",
        lambda line: ratio(line["end_to_end_speedup"]),
        lambda line: line["end_to_end_speedup"],
        max,
    ),
    Figure(
        "work", "FLOPs of the prefill over dense", lambda line: number(line["work"]), lambda line: line["work"], min
    ),
    Figure(
        "KV kept",
        "bytes of keys and values after the prefill over dense",
        lambda line: number(line["kv"]),
        lambda line: line["kv"],
        min,
    ),
    Figure(
        "question",
        "seen: keys were evicted after it was read; unseen: before, so that others can be asked, too",
        lambda line: line.get("question") or "",
    ),
    Figure(
        "loyalty",
        "share of answers equal to the dense model's",
        lambda line: number(line.get("loyalty")),
        lambda line: line.get("loyalty"),
        max,
    ),
    Figure(
        "choosing time",
        "time spent choosing tokens or keys, in the prefill",
        lambda line: duration(line.get("select_ms")),
        lambda line: line.get("select_ms"),
        min,
    ),
)
"""The ranking's columns."""


def used(lines: Sequence[Overall]) -> list[Figure]:
    """The columns that are not empty in every line."""
    return [figure for figure in FIGURES if any(map(figure.text, lines))]


def table(lines: Sequence[Overall]) -> tuple[list[str], list[list[str]]]:
    """(headings, a text for each) without the columns that are empty in every line."""
    figures = used(lines)
    return [figure.name for figure in figures], [[figure.text(line) for figure in figures] for line in lines]


def fronts(lines: Iterable[Overall]) -> list[str]:
    """For every model what stands on the front, the slowest first: ``front: dense 1.00x .95; ...``."""
    sentences = []
    for (_, model), ranked in grouped(lines, "run", "model").items():
        timed = [line for line in ranked if line["prefill_speedup"] is not None]
        if len(timed) > 1:
            points = [f"{_short(at)} {ratio(at['prefill_speedup'])} {at['score']:.3f}" for at in pareto(timed)]
            sentences.append(f"{model}: front: {'; '.join(points)}.")
    return sentences


def _short(line: Overall) -> str:
    return "dense" if line["patch"] == "none" else line["condition"]


def verdicts(lines: Iterable[Overall]) -> list[str]:
    """For every model what keeps its score within a point at the largest speed, or that nothing does."""
    sentences = []
    for (_, model), ranked in grouped(lines, "run", "model").items():
        timed = [line for line in ranked if line["prefill_speedup"] is not None and line["patch"] != "none"]
        if not timed:
            continue
        dense = next((line for line in ranked if line["patch"] == "none"), None)
        first = min(timed, key=lambda line: line["rank"])
        if dense is not None and first["rank"] < dense["rank"]:
            sentences.append(
                f"{model}: the fastest that keeps the score within a point is {first['condition']}: prefill "
                f"{speed(first['prefill_speedup'], first['prefill_speedup_ci'])} as fast, score "
                f"{score(first)}, change {change(first)} ({_means(first)})."
            )
        else:
            sentences.append(f"{model}: nothing that was timed is faster and keeps the score within a point.")
    return sentences


def _means(line: Overall) -> str:
    tasks, timed = len(line["tasks"]), len(line["timed_tasks"])
    mean = f"mean of {tasks} task{'s' * (tasks > 1)}"
    return mean if tasks == timed else f"score: {mean}; speed: of {timed} of them"


def best_table(entries: Sequence[Best]) -> tuple[list[str], list[list[str]]]:
    """(headings, lines): for every model and task the best condition at each speed, with score and change."""
    speeds = sorted({entry["at"] for entry in entries})
    named: dict[tuple[str, str, str | None], dict[float, Best]] = {
        (entry["run"], entry["model"], entry["task"]): {} for entry in entries
    }
    for entry in entries:
        named[entry["run"], entry["model"], entry["task"]][entry["at"]] = entry
    lines = [
        [model, task or "mean of all tasks", *(_best(found.get(at)) for at in speeds)]
        for (_, model, task), found in named.items()
    ]
    return ["model", "task", *(f"at {speed:g}x" for speed in speeds)], lines


def _best(entry: Best | None) -> str:
    if entry is None or entry["condition"] is None:
        return "none is so fast"
    change = f"{entry['score']:.2f} ({(entry['delta'] or 0.0) + 0.0:+.2f})"
    return (
        f"{entry['condition']}: {change}" if entry["within"] else f"none; least lost by {entry['condition']}: {change}"
    )
