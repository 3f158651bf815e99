"""Gates on heads, through which gradients flow: what head scores learn or differentiate, never a patch of the board."""

from __future__ import annotations

from torch import Tensor

from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.visibility import Group, Local
from coreheads.adapters.patches.hooks import AttentionHooks, Step


class OutputGates(AttentionHooks):
    """Every head's output times its gate; 1 is the model as it is, 0 a head that is zeroed.

    Attributes:
        gates: Float [layers, heads].
    """

    def __init__(self, gates: Tensor) -> None:
        self.gates = gates

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Scale outputs [batch, Q, heads, head_dim]."""
        return output * self.gates[layer].to(output)[:, None]


class WindowGates(AttentionHooks):
    """Every KV head's query heads give gate x their own attention + (1 - gate) x the same under sink + window.

    Other patches' rules hold for both parts. One prompt at a time, without a cache.

    Attributes:
        gates: Float [layers, KV heads], 0 to 1.
        sink: How many first tokens the second part sees.
        window: How many last tokens, the query's own among them.
    """

    observes = True
    single = True

    def __init__(self, gates: Tensor, sink: int, window: int) -> None:
        self.gates, self.rule = gates, Local(sink, window)
        self._near: Tensor | None = None

    def observe(self, step: Step) -> None:
        """Compute the second part, which ``edit_output`` of the same layer takes."""
        groups = tuple(Group(group.heads, (*group.rules, self.rule)) for group in step.groups)
        self._near = attend(step.query, step.key, step.value, step.scaling, groups, step.vision)

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Mix outputs [1, Q, heads, head_dim]."""
        near, self._near = self._near, None
        assert near is not None
        own = self.gates[layer].to(output)
        gate = own.repeat_interleave(output.shape[2] // len(own))[:, None]
        return gate * output + (1 - gate) * near
