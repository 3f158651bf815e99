"""What a run may do worse than its baseline, for all cells and for single ones."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class Section(BaseModel):
    """A part of a baseline file, in which every field is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class CellTolerances(Section):
    """What one cell, or all whose names match a pattern, may do differently; null: as the others."""

    score_drop: Positive | None = None
    near_tie: Positive | None = None
    noise: Share | None = None
    kv_ratio: Positive | None = None
    speed_kept: Share | None = None
    speed_ratio: Share | None = None


class Tolerances(Section):
    """How far a run may fall behind its baseline. Kept when a baseline is made anew; edit them in its file."""

    score_drop: Positive = 0.02
    """How far a mean score may fall, in the units of the task's score."""
    near_tie: Positive = 0.05
    """An answer that changed is a near-tie where the baseline's margin of its first token (logits) is at most this: it
    is shown and does not count, because another processor's rounding may tip it. Where many more of a cell's near-ties
    got worse than better, they count all the same."""
    noise: Share = 0.0005
    """The share of samples that rounding may make worse besides near-ties. A cell fails only where so many got worse
    that this would be unlikely."""
    alpha: Level = 0.01
    """How often a run that is as good as its baseline may fail: the level of the tests, Holm-corrected over all cells,
    and of those of the heads' layers."""
    ranking_fraction: Level = 0.05
    ranking_overlap: Share = 0.8
    """Least Jaccard overlap of the top ``ranking_fraction`` of a model's heads; a head that has fallen out by less than
    its interval allows still counts as one of them."""
    ranking_correlation: Correlation = 0.7
    """Least rank correlation of all heads of a model."""
    layer_correlation: Correlation = 0.8
    """Least rank correlation of the heads of one layer, where they moved beyond their intervals."""
    kv_ratio: Positive = 0.02
    """How far the share of KV bytes that are kept may rise."""
    speed_kept: Share = 0.4
    """The part of the baseline's gain in prefill speed (its speedup less 1) that must be left; where it had none,
    nothing is asked of it."""
    speed_ratio: Share = 0.6
    """The part of the baseline's prefill speedup that must be left. Both only where the two intervals lie apart."""
    cells: dict[str, CellTolerances] = {}
    """By cell name or pattern (``*__hybrid*``), tolerances that differ; of several that match, the last counts."""

    def of(self, cell: str) -> Tolerances:
        """The tolerances of a cell."""
        matching = [own for pattern, own in self.cells.items() if fnmatchcase(cell, pattern)]
        changes = {name: value for own in matching for name, value in own if value is not None}
        return self.model_copy(update=changes)
