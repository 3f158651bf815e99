"""The patches of one language model at work: what they share, and one layer's attention under all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from coreheads.adapters.generation.work import by_own_kernels, choosing, of_sample
from coreheads.adapters.kernels.block_sparse import block_sparse
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.evicting_cache import RaggedStates
from coreheads.adapters.kernels.kept import attend_kept
from coreheads.adapters.kernels.kept_cache import KeptStates
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.ragged import attend_ragged
from coreheads.adapters.kernels.visibility import Group, group_heads
from coreheads.adapters.patches.eviction import Eviction
from coreheads.adapters.patches.hooks import AttentionHooks, Step
from coreheads.errors import UserError


class Control:
    """The patches that are active on one language model, outermost first, and what they share in a forward call.

    Attributes:
        implementation: The model's own attention, which comes back when the last patch leaves.
        heads: Query heads of each layer.
        vision: Bool [batch, tokens so far] with padding, where the vision tokens are; None outside of a call, if no
            patch needs to know, and where it is not known.
        eviction: What a patch that evicts keys does after a prefill; None without one.
    """

    def __init__(self, implementation: str, heads: int) -> None:
        self.implementation, self.heads = implementation, heads
        self.patches: list[AttentionHooks] = []
        self.vision: Tensor | None = None
        self.eviction: Eviction | None = None
        self._groups: dict[int, tuple[Group, ...]] = {}
        self._mask: Tensor | None = None
        self._starts: list[int] = []
        self._layer = 0
        self._moved: tuple[Tensor, Tensor] | None = None

    def add(self, patch: AttentionHooks) -> None:
        """Put a patch innermost."""
        self.patches.append(patch)
        self._groups.clear()

    def remove(self, patch: AttentionHooks) -> None:
        """Take one patch away, by identity: equal patches may be nested."""
        index = max(i for i, active in enumerate(self.patches) if active is patch)
        del self.patches[index]
        self._groups.clear()

    def groups(self, layer: int, heads: int) -> tuple[Group, ...]:
        """The layer's heads by what they may see."""
        if layer not in self._groups:
            self._groups[layer] = group_heads(heads, [patch.rules(layer, heads) for patch in self.patches])
        return self._groups[layer]

    def starts(self, layer: int, mask: Tensor | None, batch: int) -> list[int]:
        """How much of each sample is padding; all layers of a forward call get one mask, which is read once.

        Of a call are the layers that come in order; those on another device than the mask get a copy each.
        """
        before, self._layer = self._layer, layer
        if mask is None:
            return [0] * batch
        known = self._mask
        if mask is not known and (known is None or layer <= before or mask.shape != known.shape):
            self._mask, self._starts = mask, (~mask).sum(1).tolist()
        return self._starts

    def vision_on(self, device: torch.device) -> Tensor | None:
        """``vision`` on a layer's device, sent there once for all layers that follow each other on it."""
        if self.vision is None or self.vision.device == device:
            return self.vision
        if self._moved is None or self._moved[0] is not self.vision or self._moved[1].device != device:
            self._moved = self.vision, self.vision.to(device)
        return self._moved[1]

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor | RaggedStates | KeptStates,
        value: Tensor | RaggedStates | KeptStates,
        mask: Tensor | None,
        scaling: float,
    ) -> Tensor:
        """A layer's attention [B, Q, H, D] under all patches.

        query [B, H, Q, D], key and value [B, Hkv, K, D] or what an evicting cache gave in their place, mask bool
        [B, tokens so far], False on left padding. UserError where a layer has not all of the model's heads.
        """
        by_own_kernels(layer)
        batch, heads, rows, _ = query.shape
        if heads != self.heads:  # of a shard heads would be counted from 0, and others than those named be changed
            what = f"layer {layer} has {heads} query heads, the configuration says {self.heads}"
            raise UserError(
                f"{what}: tensor parallelism is not supported, split the model by layers (device: auto-map)"
            )
        groups, starts, vision = (
            self.groups(layer, heads),
            self.starts(layer, mask, batch),
            self.vision_on(query.device),
        )
        observers = [patch for patch in self.patches if patch.observes]
        chooser = next((patch for patch in self.patches if patch.sparse and rows > 1), None)
        for patch in self.patches:
            query = patch.edit_query(layer, query)
        if not isinstance(key, Tensor):
            if observers and (isinstance(key, KeptStates) or key.seen > key.keys.shape[2]):
                raise ValueError("attention cannot be measured over an evicting cache: the keys are gone")
            total = key.seen
            if chooser is not None and total == rows:
                name = getattr(chooser, "name", type(chooser).__name__)
                raise UserError(f"{name}: the cache evicts by itself, expected one that keeps all keys")
            if isinstance(key, KeptStates):
                output = attend_kept(query, key, groups, scaling, vision)
            else:
                output = attend_ragged(query, key, groups, starts, scaling, vision)
                for step in self._steps(layer, query, key.keys, key.values, scaling, groups, starts):
                    for patch in observers:
                        patch.observe(step)
        else:
            assert isinstance(value, Tensor)
            total = key.shape[2] if mask is None else mask.shape[1]
            key, value = key[:, :, :total], value[:, :, :total]
            if total > rows:
                chooser = None
            together = not any(starts) and vision is None and chooser is None
            if together:
                output = attend(query, key, value, scaling, groups, None)
            else:
                output = query.new_zeros(batch, rows, heads, value.shape[3])
            chosen: list[KeyBlocks | None] = [None] * batch
            for step in (
                self._steps(layer, query, key, value, scaling, groups, starts) if observers or not together else ()
            ):
                if chooser is not None:
                    with choosing(step.sample, step.like(chooser), query.device):
                        chosen[step.sample] = chooser.blocks(step)
                    step = replace(step, chosen=chosen[step.sample])
                if not together:
                    with of_sample(step.sample):
                        part = _attend(step)
                    output[step.sample, -part.shape[1] :] = part[0]
                for patch in observers:
                    with choosing(step.sample, step.like(patch), query.device):
                        patch.observe(step)
            if self.eviction is not None:
                self.eviction.attended(layer, query, key, value, scaling, groups, starts, vision, chosen)
        real = [max(0, min(rows, total - start)) for start in starts]
        for patch in self.patches:
            output = patch.edit_output(layer, output, real)
        return output.contiguous()

    def _steps(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        groups: tuple[Group, ...],
        starts: list[int],
    ) -> Iterator[Step]:
        """The samples that have real tokens among the queries, without their padding."""
        known = self.vision_on(query.device)
        for sample, start in enumerate(starts):
            rows = min(query.shape[2], key.shape[2] - start)
            if rows <= 0:
                continue
            one = slice(sample, sample + 1)
            vision = None if known is None else known[sample, start:]
            states = query[one, :, -rows:], key[one, :, start:], value[one, :, start:]
            yield Step(layer, sample, *states, scaling, groups, vision)


def _attend(step: Step) -> Tensor:
    """Attention [1, Q, H, D] of one sample."""
    states = step.query, step.key, step.value, step.scaling, step.groups
    return attend(*states, step.vision) if step.chosen is None else block_sparse(*states, step.chosen, step.vision)
