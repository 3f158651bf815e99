"""What a board says in words: findings, how to read it, and what to know before quoting it."""

from __future__ import annotations

from collections.abc import Iterable

from coreheads.report.columns import by_task, condition_label, grouped, whole
from coreheads.store.board import FailedCell, HeadsSummary, LeftOut, Row, RunSummary


def headlines(rows: Iterable[Row]) -> list[str]:
    """The best bargain of every model: its largest prefill speedup at a score within the dense one's interval, with
    tokens and device. Nothing where none is faster than dense."""
    sentences = []
    for (model,), of_model in grouped(rows, "model").items():
        fit = [
            (row, dense)
            for group in by_task(of_model).values()
            for dense in group
            if dense["patch"] == "none"
            for row in group
            if row["patch"] != "none"
            and (row["prefill_speedup"] or 0) > 1
            and row["score"] >= (dense["score_ci"] or [dense["score"]])[0]
        ]
        if fit:
            row, dense = max(fit, key=lambda pair: pair[0]["prefill_speedup"] or 0.0)
            sentences.append(
                f"{model}: {condition_label(row)} prefills {row['prefill_speedup']:.1f}x as fast on {row['task']} "
                f"({whole(row['timed_tokens'])} tokens, {row['device']}) with a score of "
                f"{row['score']:.2f}, dense {dense['score']:.2f}."
            )
    return sentences


def dependence(rows: Iterable[Row]) -> list[str]:
    """Every model's score with top heads off, and with as many random ones off: means over tasks."""
    sentences = []
    rows = [row for row in rows if row["patch"] in ("none", "ablate")]
    for (model,), of_model in grouped(rows, "model").items():
        fractions = {row["fraction"] or 0.0 for row in of_model if row["selection"] == "top"}
        fraction = min(fractions, key=lambda value: abs(value - 0.05), default=None)
        off = [row for row in of_model if row["fraction"] == fraction and row["params"].get("mode", "zero") == "zero"]
        groups = [
            [row for row in of_model if row["patch"] == "none"],
            [row for row in off if row["selection"] == "top"],
            [row for row in off if row["selection"] == "random"],
        ]
        if fraction is not None and all(groups):
            dense, top, chance = (sum(row["score"] for row in group) / len(group) for group in groups)
            tasks = len({row["task"] for row in groups[1]})
            sentences.append(
                f"{model}: with the top {100 * fraction:g} % of heads off the score goes from {dense:.2f} to "
                f"{top:.2f}; with as many random heads off it is {chance:.2f} "
                f"(mean of {tasks} task{'s' * (tasks > 1)})."
            )
    return sentences


def heads_sentences(summary: HeadsSummary) -> list[str]:
    """What a model's head profile says, in words."""
    sentences = []
    for entry in summary["top"]:
        layers = ", ".join(str(layer) for layer in entry["layers"])
        sentences.append(
            f"{summary['model']}: the top {100 * entry['fraction']:g} % ({entry['count']} of {summary['count']} heads) "
            f"hold {100 * entry['share']:.0f} % of all retrieval attention mass (RAM); they are in layer {layers}."
        )
    if summary["split_half"] is not None:
        sentences.append(
            f"{summary['model']}: halves of the {summary['samples']} profiling samples agree on the leading heads' "
            f"order with a rank correlation of {summary['split_half']:.2f}."
        )
    leaders = summary["leaders"]
    if leaders and leaders["next"] < leaders["least"] / 10:
        sentences.append(
            f"{summary['model']}: the first {leaders['count']} heads have a RAM of {leaders['least']:.2f} or more, the "
            f"next one {leaders['next']:.3f}: behind the first {leaders['count']} the order is close to chance, and "
            "a rank correlation that counts 20 heads measures mostly that."
        )
    return sentences


def failed_sentence(record: FailedCell) -> str:
    """A failed cell in words."""
    return f"{record['model']} on {record['task']}: {record['what']} (run {record['run']}): {record['reason']}"


def left_out_sentence(entry: LeftOut) -> str:
    """What is not on the board, in words."""
    return f"{entry['what']} (run {entry['run']}): {entry['reason']}"


def made_by(run: RunSummary) -> str:
    """When, at which revision and with which versions a run was made."""
    used = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    return f"{run['started']}, revision {run['revision'] or 'unknown'}, {used}"


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
    sentences = []
    if any(row["task"].startswith("coreheads_mini_") for row in rows):
        sentences.append(
            "The mini tasks are synthetic data in the benchmarks' own formats, made to be checked without a download; "
            "their scores say nothing about the real benchmarks."
        )
    if any(row["model"] == "tiny" for row in rows):
        sentences.append(
            "The model `tiny` is the embedded one: real Qwen3-VL architecture, a few million parameters, trained on "
            "this synthetic world. How far its heads concentrate is disclosed on its model card."
        )
    if any(row["model"] == "smol" for row in rows):
        sentences.append(
            "The model `smol` is SmolLM2-135M-Instruct, whose attention nobody here trained or chose, behind a vision "
            "tower of ours that reads printed words: seeing is reading here. Its tasks, `coreheads_smol_*`, are ours."
        )
    if any("random" in str(row["model"]).lower() for row in rows):
        sentences.append(
            "A model here is called random: random weights tell about speed, and nothing about scores or heads."
        )
    if any(row["device"] and "thread" in row["device"] for row in rows):
        sentences.append("Speed was measured on a CPU; a GPU has other kernels and other crossovers.")
    sentences.append(
        "The paper (arXiv 2606.05843) claims 1.8x to 2.1x; its phase, context length, device and baseline are not "
        "known (paper claim, setting unknown), so the numbers here are not comparable with it."
    )
    return sentences
