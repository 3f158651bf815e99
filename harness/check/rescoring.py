"""Scores computed again from stored answers, where the benchmark's records are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from coreheads.check.integrity import SAME
from coreheads.check.submitted_cells import records
from coreheads.config.schema import RunConfig
from coreheads.errors import BadSample, brief
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile
from coreheads.store.schema import CellRecord, SampleRecord
from coreheads.tasks import registry
from coreheads.tasks.code import task_code
from coreheads.tasks.reading.contents import SAID, fingerprints
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.task import Task


@dataclass
class Rescored:
    """What was computed again."""

    answers: int = 0
    left: dict[str, str] = field(default_factory=dict)
    """Tasks whose scores could not be, with the reason."""


def rescore(run: RunFolder, config: RunConfig, data_root: Path | None, done: Rescored) -> Iterator[str]:
    """A line for every cell whose stored scores are not those of its answers.

    Args:
        run: The submission.
        config: Its configuration.
        data_root: The folder that holds benchmark data here; None is each task's own place. Nothing is fetched.
        done: Told of what was computed, and what not.
    """
    for name in config.evaluate.tasks:
        task = registry.get(name)
        options = config.options.get(name)
        files = task.expected(data_root, config.evaluate.split, options)
        if not (task.is_made or all(file.present or file.optional for file in files)):
            done.left[name] = "its data is not on this machine, see --data-root"
            continue
        docs = task.records(config.evaluate.split, None, data_root, options=options)
        asked = records(run, config, name)
        yield from _task(run, task, asked, {key: doc for doc in docs if (key := task.record_id(doc)) in asked}, done)


def _task(
    run: RunFolder, task: Task, asked: Mapping[str, str | None], docs: Mapping[str, Doc], done: Rescored
) -> Iterator[str]:
    """asked: fingerprints of the records as the run knew them. docs: as they are here."""
    here = fingerprints(docs.values(), lambda doc: ())
    for name, said in asked.items():
        own = here.get(name)
        if name not in docs or (said is not None and own is not None and said[:SAID] != own[:SAID]):
            what = "is another one here" if name in docs else "is not there"
            where = f"{run.path / 'manifest.json'}: made_from.tasks.{task.name}"
            yield f"{where}: record {brief(name)} {what}, expected the published records"
            return
    known = run.manifest.get("made_from")
    code = None if known is None else known["tasks"][task.name]["code"]
    why = "" if code == task_code(task) else " (it was scored by other code than is installed here)"
    cells = [cell for cell in run.cells().values() if cell["cell"]["task"] == task.name]
    console = Console(stderr=True)
    for model in dict.fromkeys(cell["cell"]["model"] for cell in cells):
        family = _family(run, model)
        if task.by_family and family is None:
            done.left[task.name] = "how answers are read depends on the model's family, which no head profile says"
            continue
        shown = {key: doc | {"family": family} for key, doc in docs.items()} if task.by_family else docs
        of_model = [cell for cell in cells if cell["cell"]["model"] == model]
        for cell in track(
            of_model, f"scoring {task.name} again", console=console, transient=True, disable=not console.is_terminal
        ):
            yield from (line + why for line in _cell(run.samples(cell["name"]), cell, task, shown, done))


def _family(run: RunFolder, model: str) -> str | None:
    profiles = (run.profile(model, score) for score in run.scores)
    return next((profile.model["model_type"] for profile in profiles if profile is not None), None)


def _cell(store: SampleFile, cell: CellRecord, task: Task, docs: Mapping[str, Doc], done: Rescored) -> Iterator[str]:
    wrong: list[str] = []
    details: list[dict[str, Any]] = []
    for key, line in store.samples.items():
        if key not in docs:
            continue  # which is a finding already
        done.answers += 1
        try:
            scores = task.doc_scores(docs[key], line["response"])
            details.append(task.details(docs[key], line["response"], scores))
        except BadSample as error:
            wrong.append(f"record {brief(key)} has a score, expected none: {error}")
            continue
        wrong += _differences(key, line, scores, task.metric)
        if task.group_by and line.get("group") != str(docs[key][task.group_by]):
            wrong.append(f"record {brief(key)}: group is {line.get('group')!r}, expected {docs[key][task.group_by]!r}")
    if wrong:
        yield f"{store.path}: {wrong[0]} (the first of {len(wrong)} in {len(store.samples)} samples)"
        return
    for name, value in (cell.get("aggregates") or {}).items():
        made = _aggregate(task, details, name)
        if made is None or abs(made - value) > SAME:
            where = f"{store.path.parents[1] / 'cells.jsonl'}: cell {cell['name']}: aggregates.{name}"
            yield f"{where} is {value:g}, its answers make {'none' if made is None else f'{made:g}'}"


def _differences(key: str, line: SampleRecord, scores: Mapping[str, float], metric: str) -> Iterator[str]:
    stored = {"score": line["score"], **{f"scores.{name}": own for name, own in line.get("scores", {}).items()}}
    made = {"score": scores[metric], **{f"scores.{name}": own for name, own in scores.items()}}
    for field_name, own in stored.items():
        if field_name not in made or abs(made[field_name] - own) > SAME:
            right = f"{made[field_name]:g}" if field_name in made else "no such score"
            yield f"record {brief(key)}: {field_name} is {own:g}, its answer {brief(line['response'])} makes {right}"
            return


def _aggregate(task: Task, details: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """As lmms-eval is told to compute it."""
    rows = [{name: own[name]} for own in details if name in own]
    return float(task.functions().aggregate(rows)[name]) if name in task.aggregates and rows else None
