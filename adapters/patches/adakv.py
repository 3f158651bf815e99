"""AdaKV: SnapKV with one budget for a layer's KV heads, which share it out by what they attend to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.snapkv import SnapKV, with_last
from coreheads.adapters.value_checks import share


@dataclass(frozen=True)
class AdaKV(SnapKV):
    """A layer keeps as many keys as under SnapKV, but a KV head whose attention is spread keeps more of them.

    Definition: scores, window and budget are those of ``SnapKV``; the last keys stay in every KV head. Of its share of
    the rest a KV head is sure of ``alpha``, rounded down, which its own best keys take; what is left of the layer's
    budget goes to the best keys of all its KV heads, by one ranking of their scores (of equal ones the lower head's,
    then the earlier).

    Source: AdaKV, arXiv 2407.11550.

    Published defaults: ``alpha`` of 0.2, on the window, kernel and budget of SnapKV; see there for how these differ
    here. The KV heads' keys are of truly different number, and the memory of what is evicted is freed; implementations
    that hide keys while decoding, and keep them, save none. The layers' budgets are equal.

    Attributes:
        alpha: Share of the even budget that every KV head is sure of, 0 to 1; 1 is SnapKV.
    """

    name: ClassVar[str] = "adakv"
    cites: ClassVar[str] = "arXiv 2407.11550"

    alpha: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        share("AdaKV: alpha is", self.alpha, zero=True)

    def kept_keys(self, step: Step) -> Sequence[Tensor] | None:
        """The last keys of every KV head, and the best of all before them."""
        heads, total = step.key.shape[1:3]
        count = self.count(total)
        if count == total:
            return None
        near = min(self.window, count)
        share, before = count - near, total - near
        scores = self.scores(step, before)
        sure = scores.argsort(dim=-1, descending=True, stable=True)[:, : int(self.alpha * share)]
        ranked = scores.scatter(1, sure, float("inf")).flatten().argsort(descending=True, stable=True)
        best = ranked[: heads * share]
        return [with_last(best[best // before == head] % before, total, near) for head in range(heads)]
