"""SnapKV: after the prefill every KV head keeps the keys that the end of the prompt attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, max_pool1d

from coreheads.adapters.kernels.gqa import by_kv_head, take
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.mass import probabilities
from coreheads.adapters.value_checks import one_of, share, whole_number
from coreheads.errors import UserError

Pooling = Literal["avg", "max"]
Question = Literal["seen", "unseen"]


@dataclass(frozen=True)
class SnapKV(Patch):
    """Every KV head keeps, of a prompt of n tokens, ``max(1, round(keep * n))`` keys: the last ones and the best.

    Definition: the last ``window`` queries of the prompt are the observers. A key's score is the attention that it
    gets, mean over the observers and over the query heads that share the KV head, and then pooled over ``kernel``
    neighbouring keys (places beyond either end count as 0). The ``window`` last keys stay, and of those before them
    the ones that score highest, of equal ones the earlier. It happens once, after the prefill: the prefill is no
    faster, later tokens are all kept, and they attend to what is left with the rotary positions that it had.

    Source: SnapKV, arXiv 2404.14469 (NeurIPS 2024).

    Published defaults: windows of 16 to 64 observers and kernels of 5 and 7 (32 and 5 here). The paper's budget is a
    number of keys, 1,024 to 4,096, whatever the prompt's length; here it is a share of the prompt, so that the bytes
    kept are what was asked for on short and long prompts alike. Where the budget is smaller than the window, the last
    keys alone stay, as many as it allows, where the reference would keep the whole window. The reference keeps keys
    per query head, which under grouped-query attention stores them several times; here a KV head's query heads agree
    on one set. The question is part of the prompt, so it has been seen when keys are chosen, and what the answer needs
    may already stand in its tokens. With ``question`` "unseen" the prompt up to its last vision token is compressed
    first, ``keep`` being a share of that, and the rest is read over what is left: what a cache can do that was
    compressed before anybody asked. A prompt without vision tokens then keeps all.

    Works with padded batches, shared beginnings, chunked prefill, beams, other patches' rules and dropped tokens
    (places are then among those that are left). An unseen question takes one prompt at a time, and no patch that drops
    tokens beside it.

    Attributes:
        keep: Share of the prompt's keys that each KV head keeps, above 0 and up to 1; 1 changes nothing.
        window: How many last queries observe, and how many last keys stay.
        kernel: How many neighbours are pooled, odd; 1 does not pool.
        pooling: Their mean (``avg``) or their largest (``max``).
        question: Whether the question is "seen" or "unseen" when keys are chosen.
    """

    name: ClassVar[str] = "snapkv"
    budget: ClassVar[str | None] = "keep"
    budget_of = "kv"
    cites: ClassVar[str] = "arXiv 2404.14469"

    keep: float = 0.25
    window: int = 32
    kernel: int = 5
    pooling: Pooling = "avg"
    question: Question = field(default="seen", kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        share(f"{where}: keep is", self.keep)
        whole_number(f"{where}: window is", self.window)
        if whole_number(f"{where}: kernel is", self.kernel) % 2 == 0:
            raise UserError(f"{where}: kernel is {self.kernel!r}, expected an odd number")
        one_of(f"{where}: pooling is", self.pooling, get_args(Pooling))
        one_of(f"{where}: question is", self.question, get_args(Question))

    @property
    def evicts(self) -> int:  # type: ignore[override]
        """The observers."""
        return self.window

    @property
    def unseen(self) -> bool:  # type: ignore[override]
        """As ``question`` says."""
        return self.question == "unseen"

    single = needs_vision = unseen

    def count(self, tokens: int) -> int:
        """Keys that a KV head keeps of a prompt of ``tokens`` tokens."""
        return max(1, round(self.keep * tokens))

    def kept_keys(self, step: Step) -> Sequence[Tensor] | None:
        """The last keys, and the best of those before them."""
        total = step.key.shape[2]
        count = self.count(total)
        if count == total:
            return None
        near = min(self.window, count)
        ranked = self.scores(step, total - near).argsort(dim=-1, descending=True, stable=True)
        return [with_last(best[: count - near], total, near) for best in ranked]

    def scores(self, step: Step, before: int) -> Tensor:
        """Scores [KV heads, before] of the first ``before`` keys; it is at least 1."""
        attention = observed(step)[:, :before]
        if self.pooling == "avg":
            return avg_pool1d(attention, self.kernel, 1, self.kernel // 2)
        return max_pool1d(attention, self.kernel, 1, self.kernel // 2)

    def kv_ratio(self, model: nn.Module, tokens: int) -> float | None:
        """KV bytes kept after a prompt of ``tokens`` tokens over those of a dense cache; None for an unseen question,
        where it depends on the question's length."""
        return None if self.unseen else self.count(tokens) / tokens

    def kv_share(self, model: nn.Module, tokens: int, after: int) -> float:
        """An unseen question is kept whole, and so is a prompt without vision tokens then."""
        late = after if self.unseen else 0
        return 1.0 if late == tokens else (self.count(tokens - late) + late) / tokens


def observed(step: Step) -> Tensor:
    """Attention [KV heads, K] that each key gets from the step's queries, the last of its tokens, in at least float32:
    the mean over the queries and over the query heads of the KV head."""
    total, device = step.key.shape[2], step.key.device
    seen = step.visible(torch.arange(total - step.query.shape[2], total, device=device))
    readers = by_kv_head(range(step.query.shape[1]), step.query.shape[1] // step.key.shape[1])
    means = [
        probabilities(take(step.query, heads)[0], step.key[0, kv], seen[heads], step.scaling).mean((0, 1))
        for kv, heads in readers.items()
    ]
    return torch.stack(means)


def with_last(best: Tensor, total: int, near: int) -> Tensor:
    """The positions ``best`` and the last ``near`` of ``total``, ascending."""
    return torch.cat([best.sort().values, torch.arange(total - near, total, device=best.device)])
