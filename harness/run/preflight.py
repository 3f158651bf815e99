"""What can be wrong is looked at before a model is loaded, which may take minutes."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.run.profiles import scores_to_find
from coreheads.store.folder import RunFolder
from coreheads.tasks import registry


def look(
    names: Iterable[str],
    split: str,
    limit: int | None,
    data_root: str | Path | None,
    options: Mapping[str, Mapping[str, Any]],
) -> None:
    """Read the records of every task's split, and look for its files where they should be on this machine.

    Mini data is passed over: it is made on first use. UserError for the first task whose data is not there or of no
    use.
    """
    for name in names:
        task = registry.get(name)
        if task.is_made:
            continue
        task.records(split, limit, data_root, options=options.get(name))
        for file in task.expected(data_root, split, options.get(name)):
            if not (file.present or file.optional or file.source.is_hub):
                raise UserError(f"task {name}: {file.path}: not there, expected {file.what}")


def check_data(config: RunConfig, models: Collection[str], folder: RunFolder) -> None:
    """UserError where a task has no data that can be used, for what these models are still to do."""
    busy = [model for model in config.models if model.name in models]
    paths = (folder.heads_path(model.name, score) for model in busy for score in scores_to_find(config, model))
    if not all(path.exists() for path in paths):
        wanted = config.profile
        look(wanted.tasks, wanted.split, wanted.samples, config.data_root, config.options)
    if busy:
        look(config.evaluate.tasks, config.evaluate.split, None, config.data_root, config.options)


def check_names(config: RunConfig) -> None:
    """UserError for tasks, patches, their parameters, head scores and heads files that do not exist or do not fit."""
    from coreheads.adapters.checkpoints.installed import described
    from coreheads.adapters.patches.registry import make_patch, put_on
    from coreheads.retrieval.head_scores import head_score

    for name in config.evaluate.tasks:
        registry.get(name).split(config.evaluate.split)
    scores = [head_score(name) for name in config.profile.scores]
    if not any(score.normalized for score in scores):
        scores[0].check_normalization(config.profile.normalization)
    needing = next((score.needing_regions for score in scores if score.needing_regions), None)
    for name in config.profile.tasks:
        task = registry.get(name)
        task.check_profile(config.profile.split, needing)
        if name in config.evaluate.tasks and task.split(config.profile.split).overlaps(
            task.split(config.evaluate.split)
        ):
            raise UserError(
                f"{name}: splits {config.profile.split} and {config.evaluate.split} share records: heads are found on "
                "one set and judged on another"
            )
    for name in config.evaluate.limits:
        registry.get(name)
    for name, options in config.options.items():
        registry.get(name).settings(options)
    for group in config.cells:
        below = None if group.on is None else (group.on.patch, group.on.params)
        put_on(make_patch(group.patch, {(0, 0)}, **group.params), below)
    for model in config.models:
        if model.heads is not None:
            profile, shape = HeadProfile.load(model.heads), described(model.id)
            known = {profile.score, *scores_to_find(config, model)}
            if profile.score not in config.profile.scores or not known.issuperset(config.profile.scores):
                wanted = ", ".join(config.profile.scores)
                raise UserError(f"{model.heads}: is by score {profile.score}, expected profile.score: {wanted}")
            if shape is not None:
                # what is odd but possible is said when the model is loaded
                with warnings.catch_warnings(action="ignore"):
                    profile.check_model(shape)


def needed_paths(config: RunConfig) -> list[str | None]:
    """What the run reads: folders, files and hub ids."""
    return [config.data_root, *(name for model in config.models for name in (model.id, model.heads))]


def missing(config: RunConfig) -> Iterator[str]:
    """One line for every checkpoint, file and folder that the run would have to fetch or would not find; no network."""
    from coreheads.adapters.checkpoints import embedded
    from coreheads.adapters.checkpoints.installed import local_models

    here = {model.id for model in local_models()}
    for model in config.models:
        if model.id not in here and not (Path(model.id).expanduser() / "config.json").is_file():
            yield f"model {model.id}: not on this machine, expected in the hub's cache or as a folder"
        elif model.id in embedded.EMBEDDED and (how := embedded.missing(model.id)):
            yield f"model {model.id}: not on this machine, {how}"
    splits = {(name, config.evaluate.split): None for name in config.evaluate.tasks}
    splits |= {(name, config.profile.split): None for name in config.profile.tasks}
    lines: dict[str, None] = {}
    for name, split in splits:
        task = registry.get(name)
        for file in task.expected(config.data_root, split, config.options.get(name)):
            if not (file.present or file.optional or task.is_made):
                lines[f"data {file.path}: {file.what}"] = None
    yield from lines
