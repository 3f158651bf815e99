"""The head profiles of a run: stored in it, given, or measured; one by each head score that is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from coreheads.config.schema import ModelConfig, RunConfig
from coreheads.heads.profile import HeadProfile
from coreheads.store.folder import RunFolder

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.retrieval.profiling import Shown


def scores_to_find(config: RunConfig, model: ModelConfig) -> tuple[str, ...]:
    """The head scores that the run itself finds a model's heads by: all but that of the heads file that was given."""
    if not config.profile.tasks:
        return ()
    given = None if model.heads is None else HeadProfile.load(model.heads).score
    return tuple(score for score in config.profile.scores if score != given)


def profiles_of(
    config: RunConfig, model: ModelConfig, adapter: Adapter, folder: RunFolder, shown: Shown
) -> dict[str, HeadProfile]:
    """A model's head profiles by score; those that are new are saved in the run.

    Args:
        config: The run's.
        model: One of its models.
        adapter: The model, loaded.
        folder: The run.
        shown: Shows how far a measurement is.

    Raises:
        UserError: A profile is another model's, or the heads cannot be measured.
    """
    found: dict[str, HeadProfile] = {}
    for score in config.profile.scores:
        profile = folder.profile(model.name, score)
        if profile is not None:
            profile.check_model(adapter.describe())
        elif score in scores_to_find(config, model):
            profile = _measured(config, adapter, folder, shown, score)
            profile.save(folder.heads_path(model.name, score))
        elif model.heads is not None:
            profile = HeadProfile.load(model.heads)
            profile.check_model(adapter.describe())
            profile.save(folder.heads_path(model.name, score))
        else:
            continue
        found[score] = profile
        shutil.rmtree(folder.path_of("heads", "partial"), ignore_errors=True)
    return found


def _measured(config: RunConfig, adapter: Adapter, folder: RunFolder, shown: Shown, score: str) -> HeadProfile:
    from coreheads.retrieval.head_scores import head_score
    from coreheads.retrieval.profiling import profile_heads

    settings = config.profile
    return profile_heads(
        adapter,
        settings.tasks,
        settings.samples,
        split=settings.split,
        score=score,
        normalization=settings.normalization if head_score(score).normalized else None,
        seed=config.seed,
        data_root=config.data_root,
        options=config.options,
        cache_dir=folder.path_of("heads", "partial"),
        progress=shown,
    )
