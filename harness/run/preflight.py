"""What can be wrong is looked at before a model is loaded, which may take minutes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile

if TYPE_CHECKING:
    from coreheads.config.schema import RunConfig


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
    from coreheads.tasks import registry

    for name in names:
        task = registry.get(name)
        if task.is_mini:
            continue
        task.records(split, limit, data_root, options=options.get(name))
        for file in task.expected(data_root, split, options.get(name)):
            if not (file.present or file.optional or file.place.is_hub):
                raise UserError(f"task {name}: {file.path}: not there, expected {file.what}")


def check_names(config: RunConfig) -> None:
    """UserError for tasks, patches, patch parameters and heads files that do not exist, before a model is loaded."""
    from coreheads.adapters.patches.registry import make_patch
    from coreheads.tasks import registry

    for name in config.evaluate.tasks:
        registry.get(name).split(config.evaluate.split)
    for name in config.profile.tasks:
        task = registry.get(name)
        task.check_profile(config.profile.split)
        if name in config.evaluate.tasks and task.split(config.profile.split).overlaps(
            task.split(config.evaluate.split)
        ):
            raise UserError(
                f"{name}: splits {config.profile.split} and {config.evaluate.split} share records: heads are found on "
                "one set and judged on another"
            )
    for name, options in config.options.items():
        registry.get(name).settings(options)
    for group in config.cells:
        make_patch(group.patch, {(0, 0)}, **group.params)
    for model in config.models:
        if model.heads is not None:
            _check_heads(HeadProfile.load(model.heads), model.id)


def _check_heads(profile: HeadProfile, model: str) -> None:
    """UserError where the heads are another model's, as far as its configuration is on this machine."""
    from coreheads.adapters.checkpoints.installed import described

    shape = described(model)
    if shape is not None:
        with warnings.catch_warnings(action="ignore"):  # what is odd but possible is said when the model is loaded
            profile.check_model(shape)
