"""What a board says in words: findings, how to read it, and what to know before quoting it."""

from __future__ import annotations

from collections.abc import Iterable

from coreheads.heads.ranking import CLEAR_WITHIN, SPLIT_HALF_TOP, ClearTop
from coreheads.heads.types import profile_name
from coreheads.report.columns import grouped
from coreheads.store.board import FailedCell, HeadsSummary, Row, RunSummary

_RAM = "retrieval attention mass (RAM)"


def dependence(rows: Iterable[Row]) -> list[str]:
    """Every model's score without its top heads, and without as many random ones: means over the tasks that have both.

    Heads that the picture is hidden from, where there are any, else heads that are switched off.
    """
    sentences = []
    rows = [row for row in rows if row["patch"] in ("none", "ablate") and row.get("on") is None]
    for (model,), of_model in grouped(rows, "model").items():
        ablated = [row for row in of_model if row["patch"] == "ablate"]
        modes = {row["params"].get("mode", "zero") for row in ablated if row["selection"] == "top"}
        mode = "vision" if "vision" in modes else "zero"
        off = [row for row in ablated if row["params"].get("mode", "zero") == mode]
        score = next((row.get("head_score") for row in off if row["selection"] == "top"), None)
        tops = [row for row in off if row["selection"] == "top" and row.get("head_score") == score]
        fractions = {row["fraction"] or 0.0 for row in tops}
        fraction = min(fractions, key=lambda value: abs(value - 0.05), default=None)
        groups = [
            [row for row in of_model if row["patch"] == "none"],
            [row for row in tops if row["fraction"] == fraction],
            [row for row in off if row["fraction"] == fraction and row["selection"] == "random"],
        ]
        tasks = set.intersection(*({row["task"] for row in group} for group in groups))
        if fraction is not None and tasks:
            scores = [[row["score"] for row in group if row["task"] in tasks] for group in groups]
            dense, top, chance = (sum(group) / len(group) for group in scores)
            without, others = f"the top {100 * fraction:g} % of heads off", "as many random heads off"
            if mode == "vision":
                without = f"the picture hidden from the top {100 * fraction:g} % of heads"
                others = "it hidden from as many random ones"
            sentences.append(
                f"{model}: with {without} the score goes from {dense:.2f} to {top:.2f}; with {others} it is "
                f"{chance:.2f} (mean of {len(tasks)} task{'s' * (len(tasks) > 1)})."
            )
    return sentences


def heads_sentences(summary: HeadsSummary) -> list[str]:
    """What a model's head profile says, in words."""
    score, total = summary.get("score", "ram"), summary["count"]
    model, of_all = profile_name(summary["model"], score), _RAM if score == "ram" else score
    sentences = []
    for entry in summary["top"]:
        layers = ", ".join(str(layer) for layer in entry["layers"])
        common = in_common(entry["count"], entry.get("shared"), total)
        sentences.append(
            f"{model}: the top {100 * entry['fraction']:g} % ({entry['count']} of {total} heads) hold "
            f"{100 * entry['share']:.0f} % of all {of_all}; they are in layer {layers}"
            f"{common and f'; {common}'}."
        )
    if summary["split_half"] is not None:
        sentences.append(
            f"{model}: halves of the {summary['samples']} profiling samples agree on the order of the first "
            f"{min(SPLIT_HALF_TOP, total)} heads with a rank correlation of {summary['split_half']:.2f}."
        )
    if "clear" in summary:
        asked = [(entry["fraction"], entry["count"], entry.get("shared")) for entry in summary["top"]]
        named = "RAM" if score == "ram" else score
        sentences += [f"{model}: {sentence}" for sentence in clear_sentences(summary["clear"], asked, total, named)]
    return sentences


def in_common(count: int, shared: float | None, total: int) -> str:
    """How many of the ``count`` top heads halves of the samples share, and how many they would by chance."""
    if shared is None:
        return ""
    return (
        f"two halves of the samples have {shared * count:.1f} of these {count} in common "
        f"(by chance {count * count / total:.1f})"
    )


def clear_sentences(
    clear: ClearTop | None, asked: Iterable[tuple[float, int, float | None]], total: int, score: str = "RAM"
) -> list[str]:
    """Which top heads stand clear of the rest, and which of the asked fractions reach beyond them.

    asked: (fraction, heads, share of them that halves have in common). All heads are no choice and not named.
    """
    if clear is None:
        return [
            f"no top k within the first {100 * CLEAR_WITHIN:g} % of heads stands clear of the rest: before every cut "
            f"there is a head whose 95 % interval of {score} meets that of one behind it, and another sample may "
            "choose other heads in part."
        ]
    count = clear["count"]
    common = in_common(count, clear["shared"], total)
    subject, every = (f"{count} heads stand", "every") if count > 1 else ("head stands", "its")
    sentences = [
        f"the first {subject} clear of the rest: {score} of at least {clear['low']:.3f} at the lower end of {every} "
        f"95 % interval, of at most {clear['high']:.3f} at the upper end of any other head's{common and f'; {common}'}."
    ]
    beyond = []
    for fraction, heads, shared in asked:
        if count < heads < total:
            behind, words = heads - count, ""
            if shared is not None:
                both, chance = max(0.0, shared * heads - count), behind * behind / (total - count)
                words = f" ({both:.1f} in common, by chance {chance:.1f})"
            beyond.append(f"{behind} of {heads} in the top {100 * fraction:g} %{words}")
    if beyond:
        those = f"the first {count}" if count > 1 else "it"
        sentences.append(f"behind {those} another sample may choose other heads in part: {', '.join(beyond)}.")
    return sentences


def failed_sentence(record: FailedCell) -> str:
    """A failed cell in words."""
    return f"{record['model']} on {record['task']}: {record['what']} (run {record['run']}): {record['reason']}"


def made_by(run: RunSummary) -> str:
    """By whom, when, at which revision and with which versions a run was made."""
    used = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    by = run.get("submitted")
    said = f"submitted by {', '.join(filter(None, (by['who'], by.get('contact'), by.get('note'))))}; " if by else ""
    return f"{said}{run['started']}, revision {run['revision'] or 'unknown'}, {used}"


READING = (
    ("What was asked.", "Which attention heads find in the picture, pages or video what the question asks about? "
     "They were found on other samples than those judged here."),
    ("ablate", "switches the named heads off. If the top heads are the ones that retrieve, switching them off breaks "
     "the answers, and switching off as many others does not."),
    ("hybrid", "lets only the named heads read everything; all others read the first and the last tokens. If the top "
     "heads are enough, the score stays and the work shrinks."),
    ("random", "is the control: as many heads drawn at random, from anywhere (perhaps with top heads among them) or "
     "from the other heads of the same layers; several draws are averaged, the interval knows of draws and samples."),
    ("change and p", "compare with the dense model on the same samples; p is corrected for the number of rows."),
    ("Clear of the rest", "are the first heads whose intervals all lie above those of all others: another sample would "
     "find the same ones, in whatever order (equal heads have none, and their rank correlation says nothing)."),
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
    if any(row["model"] in ("smol", "smol-onevision") for row in rows):
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
