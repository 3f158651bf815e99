"""Example pictures: a record of a task, prepared as for the profile, and where the heads of a profile look in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError, one_line
from coreheads.heads.profile import HeadProfile
from coreheads.report import attention, example_files
from coreheads.report.example_files import Example
from coreheads.retrieval.attention_map import AttentionMap, look
from coreheads.tasks import registry
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.task import Task

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.config.schema import RunConfig

TRIED = 8
"""Records that are looked at until one can be shown."""


def split_to_show(task: Task, wanted: str, other: str) -> str:
    """The split that examples come from: the wanted one, where the task has it."""
    return wanted if wanted in task.splits else other


def find_record(
    task: Task,
    key: str,
    split: str,
    data_root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    family: str | None = None,
) -> Doc:
    """A task's record by its id or, where none has that id, by its number from 0. UserError where there is none."""
    docs = task.records(split, None, data_root, family=family, options=options)
    for doc in docs:
        if task.record_id(doc) == key:
            return doc
    if key.isdigit() and int(key) < len(docs):
        return docs[int(key)]
    raise UserError(
        f"--sample: {task.name} has no record {key!r} in split {split}, expected an id such as "
        f"{task.record_id(docs[0])!r} or a number from 0 to {len(docs) - 1}"
    )


def attention_map_of(
    adapter: Adapter, task: Task, doc: Doc, profile: HeadProfile, top: int = 3
) -> tuple[AttentionMap, str]:
    """(where the heads look in a record, the words that name what is looked for). UserError where it cannot be used."""
    regions, query = task.regions(doc), task.query(doc)
    if not regions:
        raise UserError(f"task {task.name}, record {task.record_id(doc)}: has no ground-truth region")
    return look(adapter, adapter.prepare(task.messages(doc), query=query), regions, profile, top), query


def draw_for_run(
    run: Path,
    model: str,
    adapter: Adapter,
    profile: HeadProfile,
    config: RunConfig,
    say: Callable[[str], object],
) -> None:
    """One picture of each task that the heads were found on, into the run's ``figures/examples``; what is there stays.

    config: of the run. Records come from the evaluated split where a task has it. A picture that cannot be made costs
    a line, never the run.
    """
    for position, name in enumerate(config.profile.tasks):
        if example_files.image_path(run, model, name).with_suffix(".json").exists():
            continue
        try:
            _draw(run, model, adapter, profile, name, position, config)
        except Exception as error:  # a picture is not worth a run, whatever is wrong with it
            say(f"{model}: no example picture of {name} ({one_line(error)})")


def _draw(
    run: Path, model: str, adapter: Adapter, profile: HeadProfile, name: str, position: int, config: RunConfig
) -> None:
    task = registry.get(name)
    split = split_to_show(task, config.evaluate.split, config.profile.split)
    options: Mapping[str, Any] | None = config.options.get(name)
    problem: UserError | None = None
    for doc in task.records(split, TRIED, config.data_root, family=adapter.model_type, options=options):
        try:
            attention_map, query = attention_map_of(adapter, task, doc, profile, top=2)
        except UserError as error:
            problem = problem or error
            continue
        title = f"{name}, record {task.record_id(doc)}"
        image = attention.jpeg(attention_map, query, title, example_files.BYTES, most=3)
        caption = attention.describe(attention_map, query)
        example_files.store(run, Example(model, name, task.record_id(doc), caption, position), image)
        return
    raise problem or UserError("no record can be shown")
