"""What a run is made from, by its contents, and whether that is still what it was when its answers were stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import cast

from coreheads import environment
from coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint
from coreheads.config.cells import Cell
from coreheads.config.schema import ModelConfig, RunConfig
from coreheads.errors import UserError
from coreheads.files import read_json
from coreheads.hashing.contents import changed_parts, json_hash
from coreheads.run.code import model_code, plugin_code
from coreheads.run.profiles import scores_to_find
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import MadeFrom, ModelSources, TaskSources
from coreheads.tasks import registry
from coreheads.tasks.code import task_code
from coreheads.tasks.reading.contents import fingerprints
from coreheads.tasks.task import Task

_SAID = {
    "weights": "weights",
    "settings": "configuration",
    "processor": "processor, tokenizer or chat template",
    "heads": "heads file {heads}",
    "code": "the code here that prompts, patches and asks",
}
_ANSWERS_CHANGE = ("torch", "transformers", "lmms-eval")
"""Packages whose other versions may answer otherwise, but seldom do."""


def made_from(config: RunConfig, cells: Sequence[Cell], fetch: bool = True) -> MadeFrom:
    """What a run of this configuration would be made from now; what cannot be found out is left out.

    Args:
        config: The run's.
        cells: All of them.
        fetch: Whether data may be made or fetched for it.
    """
    found: MadeFrom = {
        "models": {model.name: model_sources(model) for model in config.models},
        "tasks": {name: _task_sources(registry.get(name), config, cells, fetch) for name in _tasks(config)},
    }
    if plugins := plugin_code(config):
        found["plugins"] = plugins
    return found


def model_sources(model: ModelConfig) -> ModelSources:
    """What a model's answers come from."""
    found: ModelSources = {}
    checkpoint = checkpoint_fingerprint(model.id, model.revision)
    if checkpoint is not None:
        found = cast(ModelSources, {**checkpoint})
    if (code := model_code(model.id)) is not None:
        found["code"] = code
    if model.heads is not None:
        found["heads"] = json_hash(read_json(model.heads))
    return found


def _tasks(config: RunConfig) -> list[str]:
    return list(dict.fromkeys([*config.evaluate.tasks, *_profiled(config)]))


def _profiled(config: RunConfig) -> tuple[str, ...]:
    return config.profile.tasks if any(scores_to_find(config, model) for model in config.models) else ()


def _task_sources(task: Task, config: RunConfig, cells: Iterable[Cell], fetch: bool) -> TaskSources:
    def ends(available: int) -> Iterator[int]:
        yield from (sum(cell.span(available)) for cell in cells if cell.task == task.name)

    used: dict[str, Callable[[int], int]] = {}
    if task.name in config.evaluate.tasks:
        used[config.evaluate.split] = lambda available: max(ends(available), default=0)
    if task.name in _profiled(config):
        used[config.profile.split] = lambda available: config.profile.samples
    root, options = config.data_root, config.options.get(task.name)
    records: dict[str, dict[str, str | None]] = {}
    for split, count in used.items():
        files = task.expected(root, split, options)
        if fetch or all(not file.source.is_hub and (file.present or file.optional) for file in files):
            with suppress(UserError):  # said when the records are needed
                docs = task.records(split, None, root, options=options)
                records[split] = fingerprints(docs[: count(len(docs))], task.functions().media)
    return {"code": task_code(task), "records": records}


def checked(
    config: RunConfig, cells: Sequence[Cell], folder: RunFolder, say: Callable[[str], object], fetch: bool = True
) -> MadeFrom:
    """Compare what a run is made from with what its stored answers, profiles and timings were made from.

    Args:
        config: The run's.
        cells: All of them.
        folder: The run as stored.
        say: Told in a line of what cannot be compared.
        fetch: Whether data may be made or fetched for it.

    Returns:
        What the manifest is to say.

    Raises:
        UserError: Something that is stored depends on what has changed, or is not whole; one line names it.
    """
    now, before = made_from(config, cells, fetch), folder.manifest.get("made_from")
    if not folder.has_results():
        return now
    stored = _Stored(config, cells, folder)
    for line in _versions(folder):
        say(line)
    if before is None:
        unknown = "does not say what checkpoints, records and code its answers come from: it goes on unchecked"
        say(f"{folder.path}: was begun by an older version and {unknown}")
        return now
    if now != before:
        plugins = changed_parts(before.get("plugins", {}), now.get("plugins", {}))
        changed = [*_changed_models(config, before, now, stored), *_changed_tasks(config, before, now, stored)]
        _refuse(folder, [*(f"the file of {name}" for name in plugins), *changed])
        for line in _unknown(before, now, folder):
            say(line)
    return _merged(before, now)


def note_model(folder: RunFolder, model: ModelConfig, found: ModelSources | None = None) -> None:
    """Note what a model that was just loaded comes from: it may have been fetched only then. UserError where that is
    not what the run's answers were made from. found: where it was loaded, None where that is here."""
    known = folder.manifest.get("made_from")
    if known is not None:
        own = known["models"].get(model.name, {})
        now = cast(ModelSources, {**own, **(found or model_sources(model))})
        _refuse(folder, _model_changed(model, own, now))
        folder.note_sources({**known, "models": {**known["models"], model.name: now}})


def _refuse(folder: RunFolder, changed: Iterable[str]) -> None:
    all_changed = list(changed)
    if all_changed:
        more = f" and {len(all_changed) - 3} more" if len(all_changed) > 3 else ""
        raise UserError(
            f"{folder.path}: what this run was made from has changed: {'; '.join(all_changed[:3])}{more}; give --fresh "
            "to begin anew (this folder is kept under another name), or another --out"
        )


class _Stored:
    """What a run has that depends on its models and records."""

    def __init__(self, config: RunConfig, cells: Sequence[Cell], folder: RunFolder) -> None:
        self.models: set[str] = set()
        self.records: dict[str, set[str]] = {}
        partly = folder.path_of("heads", "partial").exists()
        self.profiled = partly
        for model in config.models:
            found = {score for score in config.profile.scores if folder.heads_path(model.name, score).exists()}
            self.profiled |= not found.isdisjoint(scores_to_find(config, model))
            self.models |= {model.name} if found or partly else set()
        for cell in cells:
            store = folder.samples(cell.name)
            # what could not be used may be there now
            if answered := store.samples.keys() | store.refused.keys():
                self.models.add(cell.model)
                self.records.setdefault(cell.task, set()).update(answered)


def _changed_models(config: RunConfig, before: MadeFrom, now: MadeFrom, stored: _Stored) -> Iterator[str]:
    for model in config.models:
        if model.name in stored.models:
            yield from _model_changed(model, before["models"].get(model.name, {}), now["models"][model.name])


def _model_changed(model: ModelConfig, before: ModelSources, now: ModelSources) -> Iterator[str]:
    parts = [_SAID[part].format(heads=model.heads) for part in changed_parts(before, now)]
    if parts:
        yield f"{' and '.join(parts)} of model {model.name} ({model.id})"


def _changed_tasks(config: RunConfig, before: MadeFrom, now: MadeFrom, stored: _Stored) -> Iterator[str]:
    for name, task in now["tasks"].items():
        was = before["tasks"].get(name)
        if was is None:
            continue
        answered, profiled = stored.records.get(name, set()), stored.profiled and name in _profiled(config)
        if was["code"] != task["code"] and (answered or profiled):
            yield f"the code here of prompts and scores of task {name}"
        for split, records in task["records"].items():
            if split not in was["records"]:
                continue
            old = was["records"][split]
            of_profile = profiled and split == config.profile.split
            depend = set(old) if of_profile else answered if split == config.evaluate.split else set()
            other = [record for record in old if _differs(old[record], records, record)]
            new = [record for record in records if record not in old]
            if not depend.isdisjoint(other) or (depend and new):
                first = next((record for record in other if record in depend), (other or new)[0])
                number = f"{len(other) + len(new)} of {len(records)} records"
                yield f"{number} of task {name}, split {split} (asked, expected or shown), such as {first}"


def _differs(old: str | None, records: dict[str, str | None], record: str) -> bool:
    """Whether a record is another one, or none; what could not be used, then or now, says nothing."""
    new = records.get(record)
    return record not in records or (old is not None and new is not None and old != new)


def _unknown(before: MadeFrom, now: MadeFrom, folder: RunFolder) -> Iterator[str]:
    for name, model in before["models"].items():
        if "weights" in model and "weights" not in now["models"].get(name, {}):
            yield f"{folder.path}: the checkpoint of {name} is not here: not checked whether it has changed"
    for name, task in before["tasks"].items():
        if task["records"].keys() - now["tasks"].get(name, task)["records"].keys():
            yield f"{folder.path}: the records of {name} are not here: not checked whether they have changed"


def _versions(folder: RunFolder) -> Iterator[str]:
    first, own = folder.manifest["invocations"][0]["versions"], environment.versions()
    other = [
        f"{name} {first.get(name)} then, {own[name]} now" for name in _ANSWERS_CHANGE if first.get(name) != own[name]
    ]
    if other:
        yield f"{folder.path}: was begun with other versions of packages ({'; '.join(other)}): answers may differ"


def _merged(before: MadeFrom, now: MadeFrom) -> MadeFrom:
    """Now, with what cannot be found out now."""
    models = {
        name: cast(ModelSources, {**before["models"].get(name, {}), **own}) for name, own in now["models"].items()
    }
    tasks: dict[str, TaskSources] = {}
    for name, task in now["tasks"].items():
        old = before["tasks"].get(name, task)["records"]
        tasks[name] = {
            "code": task["code"],
            "records": old
            | {
                split: {record: new or old.get(split, {}).get(record) for record, new in records.items()}
                for split, records in task["records"].items()
            },
        }
    return {**now, "models": models, "tasks": tasks}
