"""What can act on the attention of a language model while it runs: patches change it, probes measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from coreheads.adapters.kernels.visibility import Group, Rule


@dataclass(frozen=True)
class Step:
    """What one layer's attention works on in one forward call, for one sample, left padding cut away.

    Attributes:
        layer: Number of the layer, from 0.
        sample: Number of the sample in its batch.
        query: [1, heads, Q, head_dim] with rotary positions; the queries are the last Q of the K tokens.
        key: [1, KV heads, K, head_dim] with rotary positions.
        value: [1, KV heads, K, head_dim].
        scaling: Factor on the products of queries and keys.
        groups: The layer's heads by what they may see.
        vision: Bool [K], where the vision tokens are; None if no active patch needs to know.
    """

    layer: int
    sample: int
    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    groups: tuple[Group, ...]
    vision: Tensor | None


class AttentionHooks:
    """Called by every layer's attention; a subclass overrides what it changes or measures.

    Attributes:
        needs_vision: Whether ``rules`` depend on where the vision tokens are.
        observes: Whether ``observe`` is called.
        evicts: How many of a prompt's last queries ``kept_keys`` is given; 0: it is not called.
    """

    needs_vision: bool = False
    observes: bool = False
    evicts: int = 0

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """What the heads 0 to ``heads`` - 1 of a layer may see; one that is left out keeps full causal attention."""
        return {}

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """Queries [batch, heads, Q, head_dim] -> the queries to attend with."""
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Head outputs [batch, Q, heads, head_dim] -> what o_proj gets; the last ``rows[b]`` of the Q are real."""
        return output

    def observe(self, step: Step) -> None:
        """See queries and keys; called once a layer, forward and sample when ``observes``."""

    def kept_keys(self, step: Step) -> Sequence[Tensor] | None:
        """Which keys stay after a prefill, called once a layer and sample when ``evicts``.

        ``step`` holds all keys and values of the prompt, and its last queries. For each KV head positions of keys,
        LongTensor, ascending, at least one, and not equally many unless wanted; None where all stay.
        """
        return None
