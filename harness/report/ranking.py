"""The ranking of a board as text: the same words and figures on the page, in Markdown and in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coreheads.report.columns import change, duration, grouped, number, ratio, score, speed
from coreheads.report.pareto import pareto
from coreheads.store.board import Best, Overall

HEADINGS = {
    "rank": "first what keeps the score within a point of dense, by speed; then the others by score",
    "condition": "what was done to the model",
    "prefill speedup": "dense over this, geometric mean over the timed tasks, 95 % interval",
    "score": "mean over tasks, 95 % interval",
    "change": "against dense on the same samples",
    "end to end": "the same from media to answer",
    "work": "FLOPs of the prefill over dense",
    "KV kept": "bytes of keys and values after the prefill over dense",
    "question": "seen: keys were evicted after it was read; unseen: before, so that others can be asked, too",
    "loyalty": "share of answers equal to the dense model's",
    "choosing time": "time spent choosing tokens or keys, in the prefill",
}
"""The ranking's columns and what they mean."""


def table(lines: Sequence[Overall]) -> tuple[list[str], list[list[str]]]:
    """(headings, a text for each) without the columns that are empty in every line."""
    texts = [_cells(line) for line in lines]
    used = [index for index in range(len(HEADINGS)) if any(line[index] for line in texts)]
    return [list(HEADINGS)[index] for index in used], [[line[index] for index in used] for line in texts]


def _cells(line: Overall) -> list[str]:
    return [
        str(line["rank"]),
        line["condition"],
        speed(line["prefill_speedup"], line["prefill_speedup_ci"]),
        score(line),
        change(line),
        ratio(line["end_to_end_speedup"]),
        number(line["work"]),
        number(line["kv"]),
        line.get("question") or "",
        number(line.get("loyalty")),
        duration(line.get("select_ms")),
    ]


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
    return f"mean of {tasks} task{'s' * (tasks > 1)}" + ("" if tasks == timed else f", speed of {timed}")


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
