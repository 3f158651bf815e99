"""Rows as text: the same words and figures in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Row = dict[str, Any]

SELECTIONS = {
    "top": "top",
    "bottom": "bottom",
    "random": "random",
    "layer_matched": "random, same layers",
    "explicit": "named heads",
    "all": "all heads",
    "none": "no head",
}


def what(row: Row) -> str:
    """The row's condition in words: ``hybrid: top 10 % full``."""
    if row["patch"] == "none":
        return "dense (the model as it is)"
    selection = SELECTIONS.get(row["selection"], str(row["selection"]))
    if row["fraction"] is not None:
        selection += f" {100 * row['fraction']:g} %"
    if row["patch"] == "ablate":
        mode = row["params"].get("mode", "zero")
        return f"ablate{'' if mode == 'zero' else f' ({mode})'}: {selection} off"
    if row["patch"] == "hybrid":
        return f"hybrid: {selection} full"
    return f"{row['patch']}: {selection}"


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def interval(value: float | None, bounds: Any, digits: int = 2, sign: bool = False) -> str:
    """``0.95 [0.90, 0.99]``; empty where not measured."""
    if value is None:
        return ""
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    text = form.format(value + 0.0)
    if bounds is not None:
        text += f" [{form.format(bounds[0] + 0.0)}, {form.format(bounds[1] + 0.0)}]"
    return text


def p_value(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


COLUMNS: tuple[tuple[str, str, Callable[[Row], str]], ...] = (
    ("condition", "what was done to the model", what),
    ("heads", "how many heads were selected", lambda row: str(row["heads"]) if row["patch"] != "none" else ""),
    ("answers", "how many were scored", lambda row: str(row["n"])),
    ("score", "mean, 95 % interval", lambda row: interval(row["score"], row["score_ci"])),
    ("unscored", "samples that could not be used: in no score", lambda row: str(row.get("unscored") or "")),
    ("whole set", "the task's scores that are no means over samples", lambda row: _aggregates(row)),
    ("change", "against dense on the same samples", lambda row: interval(row["delta"], row["delta_ci"], sign=True)),
    ("p", "of no change, corrected for the number of rows (Holm)", lambda row: p_value(row["p_value"])),
    ("tokens", "prompt length, median", lambda row: whole(row["tokens_median"])),
    ("prefill ms", "median", lambda row: number(row["prefill_ms"], 1)),
    ("prefill speedup", "dense over this, 95 % interval", lambda row: _ratio(row)),
    ("ceiling", "speedup were the other heads free", lambda row: _times(row["ceiling"])),
    ("decode speedup", "per answer token", lambda row: _times(row["decode_speedup"])),
    ("end to end", "from media to answer", lambda row: _times(row["end_to_end_speedup"])),
    ("KV kept", "cache bytes over dense", lambda row: number(row["kv_bytes_ratio"])),
)
"""Heading, what it means, and the text of a row's cell."""


def _aggregates(row: Row) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in (row.get("aggregates") or {}).items())


def _ratio(row: Row) -> str:
    if row["prefill_speedup"] is None:
        return ""
    return interval(row["prefill_speedup"], row["prefill_speedup_ci"]) + "x"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"


def notes(rows: Iterable[Row]) -> list[str]:
    """What must be read beside a table: how it was scored, what is in no score, a line a row that has something."""
    rows = list(rows)
    variants = dict.fromkeys(row["variant"] for row in rows if row.get("variant"))
    left_out = dict.fromkeys(row["unscored_example"] for row in rows if row.get("unscored_example"))
    return [
        *(f"scored by {variant}" for variant in variants),
        *(f"not scored, among others: {example}" for example in left_out),
        *(f"{what(row)}: {row['note']}" for row in rows if row["note"]),
    ]


def table(rows: Iterable[Row]) -> tuple[list[str], list[list[str]]]:
    """(headings, lines) without the columns that are empty in every row."""
    rows = list(rows)
    lines = [[text(row) for _, _, text in COLUMNS] for row in rows]
    used = [index for index in range(len(COLUMNS)) if any(line[index] for line in lines)]
    return [COLUMNS[index][0] for index in used], [[line[index] for index in used] for line in lines]


def by_task(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows grouped as (run, model, task), in their order."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["run"], row["model"], row["task"]), []).append(row)
    return groups


READING = (
    ("What was asked.", "Which attention heads find in the picture, pages or video what the question asks about? "
     "They were found on other samples than those judged here."),
    ("ablate", "switches the named heads off. If the top heads are the ones that retrieve, switching them off breaks "
     "the answers, and switching off as many others does not."),
    ("hybrid", "lets only the named heads read everything; all others read the first and the last tokens. If the top "
     "heads are enough, the score stays and the work shrinks."),
    ("random", "is the control: as many heads drawn by lot, from anywhere (by chance with top heads among them) or "
     "from the other heads of the same layers; several draws are averaged, the interval knows of draws and samples."),
    ("change and p", "compare with the dense model on the same samples; p is corrected for the number of rows."),
    ("Speed", "is measured with dense and hybrid taking turns in one process, against the fastest dense kernel found. "
     "Tokens stand beside it because attention grows with their square: below about a thousand tokens it is a small "
     "part of the work, there is nothing to save, and the honest speedup is about 1x or less."),
    ("ceiling", "is the prefill speedup were the other heads' attention free: no pattern can be faster."),
)  # fmt: skip
"""How to read a leaderboard, as (word, explanation)."""


def caveats(rows: Iterable[Row]) -> list[str]:
    """What a reader must know before quoting a figure."""
    rows = list(rows)
    found = []
    if any(row["task"].startswith("coreheads_mini_") for row in rows):
        found.append(
            "The mini tasks are synthetic data in the benchmarks' own formats, made to be checked without a download; "
            "their scores say nothing about the real benchmarks."
        )
    if any(row["model"] == "tiny" for row in rows):
        found.append(
            "The model `tiny` is the embedded one: real Qwen3-VL architecture, a few million parameters, trained on "
            "this synthetic world. How far its heads concentrate is disclosed on its model card."
        )
    if any(row["device"] and "thread" in row["device"] for row in rows):
        found.append("Speed was measured on a CPU; a GPU has other kernels and other crossovers.")
    found.append(
        "The paper (arXiv 2606.05843) claims 1.8x to 2.1x; its phase, context length, device and baseline are not "
        "known (paper claim, setting unknown), so the numbers here are not comparable with it."
    )
    return found
