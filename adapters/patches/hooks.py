"""What can act on a language model while it runs: patches change its attention or its tokens, probes measure it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.visibility import Group, Rule
from coreheads.adapters.patches.tower import Tower
from coreheads.adapters.prompt.frames import Frames, frames
from coreheads.adapters.prompt.prompt import Prompt


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
        chosen: The keys that a patch chose for the queries (``blocks``); None where all are met.
    """

    layer: int
    sample: int
    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    groups: tuple[Group, ...]
    vision: Tensor | None
    chosen: KeyBlocks | None = None

    def visible(self, rows: Tensor) -> Tensor:
        """Bool [heads, R, K]: what the queries at positions ``rows`` [R] see, of all the step's keys."""
        columns = torch.arange(self.key.shape[2], device=self.key.device)
        seen = torch.empty(self.query.shape[1], len(rows), len(columns), dtype=torch.bool, device=columns.device)
        for group in self.groups:
            seen[list(group.heads)] = group.visible(rows, columns, self.vision)
        if self.chosen is not None:
            for head, own in enumerate(seen):
                own &= self.chosen.visible(head, rows, columns)
        return seen

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
        layers: How many layers the language model has.
        block: The layer itself.
        rotary: cos and sin [1, L, rotary size] of the tokens' positions.
        prompt: As the adapter prepared it; None where the model was called by something else than ``Adapter.generate``.
        tower: The vision tower's attention, for a patch that ``reads_tower``.
    """

    layer: int
    hidden: Tensor
    places: Tensor
    ids: Tensor
    is_vision: Tensor
    layers: int = 1
    block: nn.Module | None = None
    rotary: tuple[Tensor, Tensor] | None = None
    prompt: Prompt | None = None
    tower: Tower | None = None

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

    @cached_property
    def frames(self) -> Frames:
        """The frames of the vision tokens that are still there, [v]; ValueError where the prompt is not known."""
        if self.prompt is None:
            raise ValueError("the frames of the vision tokens are not known: answer by the adapter's generate")
        numbers = self.is_vision.cumsum(0) - 1
        return frames(self.prompt)[numbers[self.places[self.vision]].cpu()]

    def like(self, patch: object) -> Callable[[], Hashable]:
        """What is alike where a patch computes with tensors of the same shapes."""
        return lambda: (repr(patch), self.layer, self.hidden.shape, tuple(self.spans.tolist()))


class AttentionHooks:
    """Called by the layers and by every layer's attention; a subclass overrides what it changes or measures.

    Attributes:
        needs_vision: Whether ``rules`` depend on where the vision tokens are.
        observes: Whether ``observe`` is called.
        drops: Whether ``stay`` is called; of the other hooks then only ``observe`` is, while a prompt is read.
        renumbers: Whether the tokens that ``stay`` leaves are given positions without gaps.
        reads_tower: Whether ``stay`` wants to know what the vision tower attends to.
        single: Whether the model takes one whole prompt at a time meanwhile; always so where tokens are dropped.
        evicts: How many of a prompt's last queries ``kept_keys`` is given; 0: it is not called.
        unseen: Whether that is done before the question is read, which is all behind the prompt's last vision token;
            then patches are ``single`` and need vision.
        sparse: Whether ``blocks`` is called, of one active patch; it needs ``single``.
    """

    needs_vision: bool = False
    observes: bool = False
    drops: bool = False
    renumbers: bool = False
    reads_tower: bool = False
    single: bool = False
    evicts: int = 0
    unseen: bool = False
    sparse: bool = False

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """What the heads 0 to ``heads`` - 1 of a layer may see; one that is left out keeps full causal attention."""
        return {}

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """Queries [batch, heads, Q, head_dim] -> the queries to attend with."""
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Head outputs [batch, Q, heads, head_dim] -> what o_proj gets; the last ``rows[b]`` of the Q are real."""
        return output

    def stay(self, cut: Cut) -> Tensor | tuple[Tensor, Tensor] | None:
        """Which of the tokens go on into the layer, bool [L], all text among them; None for all. Called before each
        layer while a prompt is read, never while an answer is decoded. Where tokens are merged, also what the layer
        reads of those that stay in place of their own states, [tokens that stay, hidden size]."""
        return None

    def blocks(self, step: Step) -> KeyBlocks | None:
        """Which keys the queries of a prompt meet, head by head; None for all. Called once a layer and sample when
        ``sparse``, while a prompt is read, all keys of ``step`` being those of queries; later tokens meet all."""
        return None

    def observe(self, step: Step) -> None:
        """See queries and keys; called once a layer, forward and sample when ``observes``. Where tokens are dropped
        they are those that the layer was given."""

    def kept_keys(self, step: Step) -> Sequence[Tensor] | None:
        """Which keys stay after a prefill, called once a layer and sample when ``evicts``.

        ``step`` holds all keys and values of the prompt, and its last queries. For each KV head positions of keys,
        LongTensor, ascending, at least one, and not equally many unless wanted; None where all stay.
        """
        return None
