"""A head profile in words and tables, for someone who has never seen the paper."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Literal

import numpy as np
from tabulate import tabulate

from coreheads.hashing.contents import CheckpointFingerprint, changed_parts
from coreheads.heads.profile import HeadProfile
from coreheads.heads.ranking import SPLIT_HALF_TOP, jaccard, spearman
from coreheads.heads.selections import head_count, top
from coreheads.heads.types import Head, Heads, by_layer, head_name
from coreheads.report.findings import clear_sentences, in_common
from coreheads.text import visible

FRACTIONS = (0.01, 0.025, 0.05, 0.1)
"""What profiles are compared at."""
MOVERS_WITHIN = 0.2
"""Only heads in the top 20 % of either profile can be "moved": the ranks of the others are mostly noise."""

_RAM = "retrieval attention mass (RAM): the share of a question word's attention that falls\non the target"
_NORMALIZED = {
    None: "",
    "vision": ", divided by the share that falls on all pictures",
    "lift": ", divided by what a uniform reader of the pictures would give it (1 = uniform)",
}


def origin(profile: HeadProfile) -> str:
    """Whose heads these are, what was measured, on what, and how: four to a dozen lines."""
    model, made = profile.model, dict(profile.provenance)
    revision = f" at {model['revision']}" if model["revision"] else ""
    shape = f"{model['layers']} layers x {model['heads']} query heads = {profile.count}"
    meaning = _RAM if profile.score == "ram" else visible(profile.score)
    rows = [
        ("model", visible(f"{model['id']}{revision} ({model['model_type']})")),
        ("heads", f"{shape} ({model['kv_heads']} KV heads a layer)"),
        ("score", meaning + _NORMALIZED[profile.normalization]),
    ]
    for number, (name, task) in enumerate(profile.tasks.items()):
        skipped = ", ".join(f"{count} skipped: {reason}" for reason, count in task.get("skipped", {}).items())
        line = f"{name}: {task['n']} samples of split {task['split']}" + (f" ({skipped})" if skipped else "")
        rows.append(("tasks" if number == 0 else "", visible(line)))
    facts = [str(made[key]) for key in ("date", "dtype", "attn_implementation", "device") if made.get(key)]
    if facts:
        rows.append(("made", visible(", ".join(facts))))
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def ranking_table(profile: HeadProfile, count: int) -> str:
    """The leading heads: rank, name, score with its interval, share of the sum, and the shares added up."""
    rows, added = [], 0.0
    for rank, head in enumerate(profile.ranking()[:count], 1):
        share = profile.share(frozenset({head}))
        added += share
        value = f"{profile.mean[head]:.4f}"
        rows.append((rank, head_name(head), *head, value, _interval(profile, head), _percent(share), _percent(added)))
    names = ("rank", "name", "layer", "head", visible(profile.score.upper()), "95 % interval", "of the sum", "added up")
    return _table(rows, names)


def findings(profile: HeadProfile, fraction: float = 0.05) -> str:
    """What the profile says, in sentences: concentration, layers, and how far the ranking can be trusted."""
    chosen = profile.top(fraction)
    layers = ", ".join(f"{layer} ({len(inside)})" for layer, inside in by_layer(chosen).items())
    lines = [
        f"The top {100 * fraction:g} % ({len(chosen)} head{'s' * (len(chosen) > 1)} of {profile.count}) hold "
        f"{_percent(profile.share(chosen))} of all {visible(profile.score.upper())}; "
        f"spread evenly they would hold {_percent(len(chosen) / profile.count)}.",
        fill(f"Their layers, with the number of heads: {layers}; layers go from 0 to {profile.shape[0] - 1}.", 100),
    ]
    shared = profile.shared(len(chosen))
    if common := in_common(len(chosen), shared, profile.count):
        lines.append(f"T{common[1:]}.")
    if profile.split_half is None:
        why = "too few samples" if profile.ci_low is not None else "the score is one of all samples together"
        lines.append(f"Split-half agreement: not measured ({why}).")
    else:
        lines.append(
            f"Split-half agreement: {profile.split_half:.3f}, the rank correlation of the top "
            f"{min(SPLIT_HALF_TOP, profile.count)} heads between random halves\n"
            "of the samples (1 is perfect, 0 is chance)."
        )
    asked = [(fraction, len(chosen), shared)]
    known = profile.ci_low is not None
    said = clear_sentences(profile.clear_top(), asked, profile.count, visible(profile.score.upper())) if known else []
    lines += [fill(sentence[0].upper() + sentence[1:], 100) for sentence in said]
    if len(profile.tasks) > 1:
        lines += ["", "Does each task find the same heads?", _task_table(profile, fraction)]
    return "\n".join(lines)


def comparison(first: HeadProfile, second: HeadProfile, count: int = 10) -> str:
    """How far two profiles of one shape agree: overlap of the top, rank correlation, the heads that moved most."""
    rows = []
    for fraction in FRACTIONS:
        size = head_count(fraction, first.count)
        one, other = first.top(fraction), second.top(fraction)
        chance = f"{size * size / first.count:.1f}"
        rows.append((f"{100 * fraction:g} %", size, len(one & other), chance, f"{jaccard(one, other):.2f}"))
    leading = first.top(MOVERS_WITHIN) | second.top(MOVERS_WITHIN)
    parts = [
        _table(rows, ("top", "heads", "shared", "by chance", "overlap (Jaccard)")),
        "",
        f"Rank correlation (Spearman): {correlation(first.mean, second.mean)} over all {first.count} heads "
        "(1 is the same order, 0 is chance).",
        "",
        f"Heads that moved most, of the {len(leading)} in the top {100 * MOVERS_WITHIN:g} % of either:",
        _movers(first, second, leading, count),
    ]
    return "\n".join(parts)


def caveats(first: HeadProfile, second: HeadProfile, names: str = "A and B") -> list[str]:
    """What to keep in mind when these two are compared, by their ``names``; empty when nothing."""
    notes = []
    keys: tuple[Literal["id", "revision", "model_type", "kv_heads"], ...] = ("id", "revision", "model_type", "kv_heads")
    for key in keys:
        if first.model[key] != second.model[key]:
            notes.append(f"{names} differ in model.{key}: {first.model[key]} and {second.model[key]}.")
    changed = changed_parts(*(profile.model.get("fingerprint", {}) for profile in (first, second)))
    if parts := " and ".join(part for part in CheckpointFingerprint.__annotations__ if part in changed):
        notes.append(f"{names} were found on checkpoints of other contents: {parts}.")
    if (first.score, first.normalization) != (second.score, second.normalization):
        kinds = " and ".join(f"{p.score} / {p.normalization or 'none'}" for p in (first, second))
        notes.append(f"{names} differ in score / normalization ({kinds}): compare ranks, not values.")
    records = {task["records_hash"] for task in first.tasks.values()}
    if first.score == second.score and any(task["records_hash"] in records for task in second.tasks.values()):
        notes.append(f"{names} were made from the same records: agreement says nothing about other data.")
    return notes


def _movers(first: HeadProfile, second: HeadProfile, leading: Heads, count: int) -> str:
    before = {head: rank for rank, head in enumerate(first.ranking(), 1)}
    after = {head: rank for rank, head in enumerate(second.ranking(), 1)}
    moved = [head for head in leading if before[head] != after[head]]
    if not moved:
        return "none: they have the same ranks."
    moved.sort(key=lambda head: (-abs(after[head] - before[head]), head))
    rows = [
        (head_name(h), before[h], after[h], f"{before[h] - after[h]:+d}", _value(first, h), _value(second, h))
        for h in moved[:count]
    ]
    names = ("head", "rank in A", "rank in B", "climbed", "A (95 % interval)", "B (95 % interval)")
    return _table(rows, names)


def _task_table(profile: HeadProfile, fraction: float) -> str:
    chosen = profile.top(fraction)
    rows = []
    for name, task in profile.tasks.items():
        scores = np.asarray(task["mean"])
        shared = f"{len(top(scores, fraction) & chosen)} of {len(chosen)}"
        positive = scores.clip(min=0.0)
        total = float(positive.sum())
        held = sum(float(positive[head]) for head in chosen) / total if total > 0 else 0.0
        rows.append((visible(name), task["n"], shared, _percent(held), correlation(scores, profile.mean)))
    names = ("task", "samples", "its top among the top", "the top hold", "rank correlation")
    return _table(rows, names, align=("left", *["right"] * 4))


def _table(rows: Sequence[Sequence[Any]], names: Sequence[str], align: Sequence[str] | None = None) -> str:
    return tabulate(rows, names, tablefmt="simple", disable_numparse=True, colalign=align or ["right"] * len(names))


def correlation(first: Any, second: Any) -> str:
    """Spearman's rank correlation of two score arrays, in words where there is none."""
    value = spearman(first, second)
    return f"{value:.3f}" if np.isfinite(value) else "undefined (all scores of one are equal)"


def _value(profile: HeadProfile, head: Head) -> str:
    return f"{profile.mean[head]:.4f} ({_interval(profile, head)})"


def _interval(profile: HeadProfile, head: Head) -> str:
    if profile.ci_low is None or profile.ci_high is None:
        return "none"
    return f"{profile.ci_low[head]:.4f} to {profile.ci_high[head]:.4f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
