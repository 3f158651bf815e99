"""What a run needs and this machine does not have yet: for plans, without network and without loading anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coreheads.config.schema import RunConfig


def missing(config: RunConfig) -> Iterator[str]:
    """One line for every checkpoint, file and folder that the run would have to fetch or would not find."""
    yield from _models(config)
    yield from _data(config)


def _models(config: RunConfig) -> Iterator[str]:
    from coreheads.adapters.checkpoints.installed import local_models

    here = {model.id for model in local_models()}
    for model in config.models:
        if model.id not in here and not (Path(model.id).expanduser() / "config.json").is_file():
            yield f"model {model.id}: not on this machine, expected in the hub's cache or as a folder"


def _data(config: RunConfig) -> Iterator[str]:
    from coreheads.tasks import registry

    wanted = [(name, config.evaluate.split) for name in config.evaluate.tasks]
    wanted += [(name, config.profile.split) for name in config.profile.tasks]
    lines: dict[str, None] = {}
    for name, split in wanted:
        task = registry.get(name)
        for file in task.expected(config.data_root, split, config.options.get(name)):
            if not file.present and not task.is_mini and not file.optional:
                lines[f"data {file.path}: {file.what}"] = None
    yield from lines
