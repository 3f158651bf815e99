"""What generation needs of a model family's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from coreheads.adapters.prompt.prompt import Prompt


class GenerationAdapter(Protocol):
    """A loaded model with its processor; ``coreheads.adapters.families.base.Adapter`` is one.

    Attributes:
        model: A ``*ForConditionalGeneration`` of transformers.
        processor: Its processor, with a tokenizer.
        layers: How many layers the language model has.
    """

    model: Any
    processor: Any
    layers: int

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    def vision_modules(self) -> list[nn.Module]:
        """The modules whose time is the vision tower's."""

    def position_ids(self, prompt: Prompt) -> Tensor:
        """Positions of the prompt's tokens, [..., 1, L]; the next token's is the largest plus one."""

    def collate_vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """The vision inputs of several prompts as one batch."""
