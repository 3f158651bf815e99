"""What budgets a configuration may ask for, and what they are shares of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal, NamedTuple

from coreheads.errors import UserError
from coreheads.heads.selections import SIZED

if TYPE_CHECKING:
    from coreheads.adapters.patches.base import Patch

Of = Literal["flops", "kv"]
"""Of what a budget is a share: the FLOPs of the language model's dense prefill, or the dense cache's bytes."""


class Asked(NamedTuple):
    """What a group of cells asks for, by the names of its fields."""

    patch: str
    params: Collection[str]
    selections: Collection[str]
    fractions: Collection[float]
    budgets: Collection[float]
    budget_of: Of | None
    preset: bool


def budget_of(cells: Asked, patch: type[Patch] | None) -> Of | None:
    """What the budgets of a group of cells are shares of; None where it has none.

    Args:
        cells: The group.
        patch: Its patch; None where it is not looked at, as in a stored configuration.

    Raises:
        ValueError: In one line, where such budgets cannot be.
    """
    if not cells.budgets:
        if cells.budget_of is not None:
            raise ValueError("budget_of is given without budgets")
        return None
    if cells.fractions:
        raise ValueError("budgets and fractions are both given: the fraction is what is solved for")
    if cells.preset:
        raise ValueError("budgets are given, and preset: published settings have no budget")
    if not all(name in SIZED for name in cells.selections):
        raise ValueError(f"budgets are for selections of a size, expected only {', '.join(sorted(SIZED))}")
    if patch is None:
        return cells.budget_of
    if patch.budget is None:
        raise ValueError(f"patch {cells.patch} has no parameter that budgets could be solved for")
    if patch.budget in cells.params:
        raise ValueError(f"params.{patch.budget} is given, and budgets, which it is solved for")
    if cells.budget_of not in (None, patch.budget_of):
        raise ValueError(f"budget_of is {cells.budget_of!r}, expected {patch.budget_of!r} for patch {cells.patch}")
    return patch.budget_of


def patch_of(name: str) -> type[Patch] | None:
    """A patch's class; None where there is no such patch, which is said before anything is done."""
    from coreheads.adapters.patches.registry import patch_class

    try:
        return patch_class(name)
    except UserError:
        return None
