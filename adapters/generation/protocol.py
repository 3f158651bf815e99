"""What generation needs of a model family's adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from coreheads.adapters.prompt.prompt import Prompt


class GenerationAdapter(Protocol):
    """A loaded model with its processor, as ``coreheads.adapters.families.base.Adapter`` documents its members."""

    model: Any
    processor: Any
    layers: int

    @property
    def device(self) -> torch.device: ...

    @property
    def vision_modules(self) -> list[nn.Module]: ...

    def position_ids(self, prompt: Prompt) -> Tensor: ...

    def collate_vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]: ...
