"""The patch of a cell, made for one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coreheads.config.cells import Cell
from coreheads.heads.profile import HeadProfile
from coreheads.heads.selections import select
from coreheads.heads.types import Heads

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.patches.base import Patch


def cell_patch(cell: Cell, profiles: Mapping[str, HeadProfile], adapter: Adapter) -> tuple[list[list[int]], Patch]:
    """(heads as stored, the patch) of a cell; UserError where the patch does not fit the model. On a budget heads are
    others for every prompt, and none is stored."""
    from coreheads.adapters.patches.budget import Budgeted
    from coreheads.adapters.patches.registry import make_patch, put_on

    profile, shape = profiles.get(cell.head_score or "ram"), (adapter.layers, adapter.heads)
    scores = None if profile is None else profile.mean
    if cell.budget is not None:

        def chosen(fraction: float) -> Heads:
            return select(cell.selection, scores, shape, fraction, cell.seed or 0)

        budgeted = Budgeted(cell.patch, cell.budget, cell.settings, chosen if cell.selection is not None else None)
        budgeted.check(adapter.model)
        return [], budgeted
    heads = select(cell.selection, scores, shape, cell.fraction, cell.seed or 0, cell.heads)
    patch = put_on(make_patch(cell.patch, heads, **cell.settings), cell.below)
    patch.check(adapter.model)
    return [list(head) for head in sorted(heads)], patch
