"""FastV: those vision tokens stay that the prompt's last token attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.drop_vision import DropVision, largest
from coreheads.adapters.patches.hooks import Cut, Step
from coreheads.adapters.patches.snapkv import observed
from coreheads.adapters.value_checks import whole_number


@dataclass(frozen=True)
class FastV(DropVision):
    """Before layer K the vision tokens stay that got most attention in layer K - 1.

    A token's score is the attention that the prompt's last token pays it in layer ``layer`` - 1, mean over the heads;
    of equal ones the first stays.

    Source: arXiv 2403.06764 (ECCV 2024). Published defaults: K = 2 (``layer``) and a drop rate R of 50 % (``keep``
    0.5), both the defaults here; positions are kept. What differs: the row is read off the layer's own queries and
    keys, so no layer attends eagerly and none runs twice; v (1 - R) is rounded, and one token stays at least; media
    may stand anywhere. The paper's accuracies are of a variant that hides the tokens and saves nothing; it answers
    alike. On Qwen3-VL a cut before layer 1 or 2 lies between the layers that add vision features (DeepStack): tokens
    that are gone get none. Nested patches on heads are part of what the last token attends to.

    Attributes:
        layer: K, at least 1.
    """

    name: ClassVar[str] = "fastv"
    cites: ClassVar[str] = "arXiv 2403.06764"

    keep: float = 0.5
    layer: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("FastV: layer is", self.layer)

    @property
    def observes(self) -> bool:  # type: ignore[override]
        """Not where nothing is dropped."""
        return self.keep < 1

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """The last token's query with all keys of layer K - 1."""
        return 2 * shape.heads * shape.head_dim * (text + sum(runs)) if self.keep < 1 and runs else 0

    def observe(self, step: Step) -> None:
        """Note the last token's row of layer K - 1."""
        if step.layer == self.layer - 1:
            row = observed(replace(step, query=step.query[:, :, -1:])).mean(0)
            object.__setattr__(self, "_row", row)  # no field: it is of one forward call, not of the patch

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """The most attended ones."""
        row: Tensor = vars(self).pop("_row").to(features.device)
        return largest(row[cut.vision], count)
