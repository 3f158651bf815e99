"""What can act on a language model while it runs: patches change its attention or its tokens, probes measure it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
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

    def like(self, patch: object) -> Callable[[], Hashable]:
        """What is alike where a patch computes with tensors of the same shapes."""
        return lambda: (repr(patch), self.layer, self.query.shape, self.key.shape)


@dataclass(frozen=True)
class Cut:
    """The tokens of a prompt before a layer, of which some may be dropped; L of them are still there.

    Attributes:
        layer: Number of the layer, from 0.
        hidden: [L, hidden size]: what the layer would read; before layer 0 embeddings and merged vision features.
        places: Long [L], ascending: where the tokens stand in the prompt.
        ids: Long [prompt's length]: the prompt's input ids.
        is_vision: Bool [prompt's length].
    """

    layer: int
    hidden: Tensor
    places: Tensor
    ids: Tensor
    is_vision: Tensor

    @property
    def vision(self) -> Tensor:
        """Bool [L], which of the tokens are vision tokens."""
        return self.is_vision[self.places]

    @property
    def spans(self) -> Tensor:
        """Long [L]: the number of the run of vision tokens, unbroken by text in the prompt, that a token belongs to,
        from 0; text has -1. A run is a picture or page, and of a video a frame or, without text between, all."""
        starts = self.is_vision.clone()
        starts[1:] &= ~self.is_vision[:-1]
        return torch.where(self.is_vision, starts.cumsum(0) - 1, -1)[self.places]

    def like(self, patch: object) -> Callable[[], Hashable]:
        """What is alike where a patch computes with tensors of the same shapes."""
        return lambda: (repr(patch), self.layer, self.hidden.shape, tuple(self.spans.tolist()))


class AttentionHooks:
    """Called by the layers and by every layer's attention; a subclass overrides what it changes or measures.

    Attributes:
        needs_vision: Whether ``rules`` depend on where the vision tokens are.
        observes: Whether ``observe`` is called.
        drops: Whether ``stay`` is called; of the other hooks then none is.
        single: Whether the model takes one whole prompt at a time meanwhile; always so where tokens are dropped.
        evicts: How many of a prompt's last queries ``kept_keys`` is given; 0: it is not called.
        unseen: Whether that is done before the question is read, which is all behind the prompt's last vision token;
            then patches are ``single`` and need vision.
    """

    needs_vision: bool = False
    observes: bool = False
    drops: bool = False
    single: bool = False
    evicts: int = 0
    unseen: bool = False

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """What the heads 0 to ``heads`` - 1 of a layer may see; one that is left out keeps full causal attention."""
        return {}

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """Queries [batch, heads, Q, head_dim] -> the queries to attend with."""
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Head outputs [batch, Q, heads, head_dim] -> what o_proj gets; the last ``rows[b]`` of the Q are real."""
        return output

    def stay(self, cut: Cut) -> Tensor | None:
        """Which of the tokens go on into the layer, bool [L], all text among them; None for all. Called before each
        layer while a prompt is read, never while an answer is decoded."""
        return None

    def observe(self, step: Step) -> None:
        """See queries and keys; called once a layer, forward and sample when ``observes``."""

    def kept_keys(self, step: Step) -> Sequence[Tensor] | None:
        """Which keys stay after a prefill, called once a layer and sample when ``evicts``.

        ``step`` holds all keys and values of the prompt, and its last queries. For each KV head positions of keys,
        LongTensor, ascending, at least one, and not equally many unless wanted; None where all stay.
        """
        return None
