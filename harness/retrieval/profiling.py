"""From benchmark records to a head profile: one forward pass a record, nothing but [layers, heads] kept of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from coreheads import environment
from coreheads.errors import UserError
from coreheads.heads import ranking
from coreheads.heads.profile import HeadProfile
from coreheads.heads.schema import NORMALIZATIONS, ModelIdentity, Normalization
from coreheads.private import without_home
from coreheads.retrieval.fingerprint import records_hash
from coreheads.retrieval.head_scores import head_score
from coreheads.retrieval.sample_scores import TaskScores, attention_implementation, score_task
from coreheads.stats.bootstrap import RESAMPLES, bootstrap_means
from coreheads.text import for_rich

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter

Shown = Callable[[str, int], AbstractContextManager[Callable[[], object]]]
"""Shows how far a task is: called with its name and its number of records, gives what is called after each of them."""


def profile_heads(
    adapter: Adapter,
    task_names: Sequence[str],
    samples: int | None,
    split: str = "profile",
    seed: int = 0,
    progress: bool | Shown = True,
    data_root: str | Path | None = None,
    *,
    score: str = "ram",
    normalization: Normalization | None = None,
    cache_dir: str | Path | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> HeadProfile:
    """Score every head of the language model on the first ``samples`` records of each task.

    Records whose region touches no vision token, that have no query, or whose media cannot be used are skipped and
    counted in the profile.

    Args:
        adapter: from ``load_adapter``.
        task_names: as `coreheads tasks` lists them; each weighs the same, however many samples it has.
        samples: number of records of each task, from 1; None takes the whole split.
        split: name of the tasks' split; judge the heads on another one.
        seed: of the bootstrap and of the split halves.
        progress: whether to show bars, or what shows them.
        data_root: the folder that holds benchmark data; None is each task's default: the hub, or mini data's cache.
        score: name of the head score.
        normalization: of RAM alone: None, "vision" or "lift", see ``retrieval_attention_mass``.
        cache_dir: keeps the scores of single records, so that an interrupted call goes on where it stopped.
        options: each task's own options, by the task's name.

    Returns:
        Mean score [layers, heads], the mean over tasks of the tasks' means over their samples, with its 95 %
        bootstrap interval.

    Raises:
        UserError: an unknown task or score, a task without the ground-truth regions or answers that the score needs,
            or one of which nothing is left.
    """
    from coreheads.tasks import registry

    if not task_names or len(set(task_names)) < len(task_names):
        raise UserError(f"tasks is {', '.join(task_names) or 'empty'}, expected one or more different names")
    if samples is not None and samples < 1:
        raise UserError(f"samples is {samples}, expected at least 1")
    if normalization not in NORMALIZATIONS:
        raise UserError(f"normalization is {normalization!r}, expected none, vision or lift")
    asked = head_score(score)
    asked.check_normalization(normalization)
    tasks = [registry.get(name) for name in task_names]
    for task in tasks:
        task.check_profile(split, asked.needing_regions)
    records = [
        task.records(split, samples, data_root, family=adapter.model_type, options=(options or {}).get(task.name))
        for task in tasks
    ]
    scored = []
    score_records = partial(score_task, adapter, split=split, score=score, normalization=normalization)
    for task, docs in zip(tasks, records, strict=True):
        cache = None if cache_dir is None else Path(cache_dir) / f"{task.name}.jsonl"
        with _shown(progress)(task.name, len(docs)) as advance:
            scored.append(score_records(task, docs, cache=cache, advance=advance))
    return build_profile(adapter, scored, score=score, normalization=normalization, seed=seed)


def build_profile(
    adapter: Adapter,
    scored: Sequence[TaskScores],
    *,
    score: str = "ram",
    normalization: Normalization | None = None,
    seed: int = 0,
) -> HeadProfile:
    """The profile of these samples: the mean over tasks of the tasks' means, with intervals stratified by task.

    Of a score of sets a task has one matrix: nothing is there to draw from or to halve.
    """
    shape = scored[0].values.shape[1:]
    groups = [task.values.reshape(len(task.values), -1).astype(np.float64) for task in scored]
    means = [group.mean(axis=0) for group in groups]
    together = head_score(score).of_set
    low, high = (None, None) if together else (ends.reshape(shape) for ends in bootstrap_means(groups, seed))
    described = adapter.describe()
    return HeadProfile(
        model=cast(ModelIdentity, described | {"id": without_home(described["id"])}),
        mean=np.mean(means, axis=0).reshape(shape),
        ci_low=low,
        ci_high=high,
        tasks={
            task.task: {
                "split": task.split,
                "n": len(task.records),
                "records_hash": records_hash(task.records),
                "skipped": dict(task.skipped),
                "mean": mean.reshape(shape).tolist(),
            }
            for task, mean in zip(scored, means, strict=True)
        },
        score=score,
        normalization=normalization,
        split_half=ranking.split_half_correlation(groups, seed=seed),
        split_half_shared=ranking.split_half_shared(groups, seed=seed),
        provenance={
            "versions": environment.versions(),
            "seed": seed,
            "dtype": str(adapter.dtype).removeprefix("torch."),
            "device": ", ".join(map(str, adapter.devices)),
            "attn_implementation": attention_implementation(adapter),
            "date": environment.now(),
            "command": environment.command_line(),
            "interval": "none: the score is one of all samples together"
            if together
            else f"95 % percentile bootstrap, stratified by task, {RESAMPLES} resamples",
            "split_half": "none, for the same reason"
            if together
            else f"mean Spearman correlation of the top {ranking.SPLIT_HALF_TOP} heads over "
            f"{ranking.SPLIT_HALF_SPLITS} random halves of the samples",
        },
    )


def _shown(progress: bool | Shown) -> Shown:
    if not isinstance(progress, bool):
        return progress
    return _bar if progress else lambda task, total: nullcontext(lambda: None)


@contextmanager
def _bar(task: str, total: int) -> Iterator[Callable[[], object]]:
    """A bar on stderr, where someone is looking; without a terminal, one line when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        row = bar.add_task(for_rich(f"{task}: scoring heads"), total=total)
        yield lambda: bar.advance(row)
