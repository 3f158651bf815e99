"""A part of a configuration: the models that one job of several runs, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence

from coreheads.config.schema import RunConfig
from coreheads.errors import UserError, expected_one_of


def only(config: RunConfig, wanted: Sequence[str]) -> RunConfig:
    """The configuration with the models that ``model=NAME`` texts name, in its own order; with all where none is given.

    Everything else stays, seeds and records too, so that the boards of all parts merge to that of the whole.

    Raises:
        UserError: A text is not of this form, or names a model that the configuration has not.
    """
    names = [model.name for model in config.models]
    kept = set()
    for text in wanted:
        what, equals, name = text.partition("=")
        if what != "model" or not equals:
            raise UserError(f"--only {text!r}: expected model=NAME, for example --only model={names[0]}")
        if name not in names:
            raise UserError(f"--only: model {name!r}, {expected_one_of(name, names)}")
        kept.add(name)
    if not kept:
        return config
    return config.model_copy(update={"models": tuple(model for model in config.models if model.name in kept)})
