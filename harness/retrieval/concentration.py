"""Concentration: on how few of the vision tokens a head's attention lies, whatever they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreheads.errors import UserError
from coreheads.regions import Region

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def concentration(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """1 - exp(H) / |V|, H being the entropy of how the question's tokens, on average, share their attention among V.

    V are the vision tokens; exp(H) is how many of them one would read that reads these alike and no others: a reader of
    all has 0, one of a single token 1 - 1 / |V|. Regions and answer are not used: beside RAM, which says whether a head
    looks at the right place, this says whether it looks at a place at all. A head without any attention on V has 0.

    Returns:
        Float32 [layers, heads], 0 to 1.

    Raises:
        UserError: there are no query tokens or no vision tokens.
    """
    from coreheads.adapters.patches.query_rows import collect_rows

    model: Any = adapter.model
    vision = prompt.vision_tokens
    if not len(prompt.query_tokens) or not len(vision):
        missing = "vision" if len(prompt.query_tokens) else "query"
        raise UserError(f"score concentration: the prompt has no {missing} tokens, expected a question about a medium")
    every = [(layer, head) for layer in range(adapter.layers) for head in range(adapter.heads)]
    with torch.inference_mode(), collect_rows(model, every, prompt.query_tokens, vision) as found:
        model(**prompt.inputs, use_cache=False, logits_to_keep=1)
    attention = found.result().double()
    mass = attention.sum(1, keepdim=True)
    share = torch.where(mass > 0, attention / mass.clamp_min(torch.finfo(torch.float64).tiny), 1 / len(vision))
    read: Tensor = torch.special.entr(share).sum(1).exp()
    return (1 - read / len(vision)).clamp(0, 1).float().view(adapter.layers, adapter.heads)
