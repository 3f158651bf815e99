"""How the next token is chosen: the most likely one, or drawn."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from coreheads.adapters.value_checks import is_number, share
from coreheads.errors import UserError

COLDEST = 1e-6
"""Lower temperatures are greedy: they would divide logits to infinity, and draw the likeliest token anyway."""


class Sampler:
    """Greedy at temperature 0; else a draw from the softmax of logits / temperature, cut to the likeliest ``top_p``.

    The draws of one sampler follow from its seed; another batch size or order gives others.

    Raises:
        UserError: If temperature is below 0, top_p not in (0, 1], or seed no whole number.
    """

    def __init__(self, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0) -> None:
        if not is_number(temperature) or temperature < 0:
            raise UserError(f"temperature: {temperature!r}, expected a number of at least 0 (0 is greedy)")
        share("top_p:", top_p)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UserError(f"seed: {seed!r}, expected a whole number")
        self._warpers = LogitsProcessorList()
        if temperature > COLDEST:
            self._warpers.append(TemperatureLogitsWarper(float(temperature)))
            self._warpers += [TopPLogitsWarper(float(top_p))] if top_p < 1 else []
        self._generator = torch.Generator().manual_seed(seed)

    def pick(self, logits: Tensor) -> Tensor:
        """One token a row: logits [B, vocabulary] -> LongTensor [B]."""
        if not self._warpers:
            return logits.argmax(-1)
        scores = self._warpers(None, logits.float())  # neither of them reads the tokens so far
        # drawn on the CPU, so that the seed means the same on every device
        drawn = torch.multinomial(scores.softmax(-1).cpu(), 1, generator=self._generator)[:, 0]
        return drawn.to(logits.device)
