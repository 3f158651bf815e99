"""How the next token is chosen: the most likely one, or drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from coreheads.errors import UserError


class Sampler:
    """Greedy at temperature 0; else a draw from the softmax of logits / temperature, cut to the likeliest ``top_p``.

    The draws of one sampler follow from its seed; another batch size or order gives others.
    """

    def __init__(self, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0) -> None:
        if not _number(temperature) or not 0 <= temperature < math.inf:
            raise UserError(f"temperature: {temperature!r}, expected a number of at least 0 (0 is greedy)")
        if not _number(top_p) or not 0 < top_p <= 1:
            raise UserError(f"top_p: {top_p!r}, expected a number above 0 and up to 1")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UserError(f"seed: {seed!r}, expected a whole number")
        # what is below it divides logits to infinity; the draw is the likeliest token long before
        self.temperature, self.top_p = temperature if temperature > 1e-6 else 0.0, top_p
        self._generator = torch.Generator().manual_seed(seed)

    def pick(self, logits: Tensor) -> Tensor:
        """One token a row: logits [B, vocabulary] -> LongTensor [B]."""
        if self.temperature == 0:
            return logits.argmax(-1)
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        ids = torch.zeros(len(logits), 1, dtype=torch.long, device=logits.device)
        scores = TemperatureLogitsWarper(float(self.temperature))(ids, logits.float())
        if self.top_p < 1:
            scores = TopPLogitsWarper(float(self.top_p))(ids, scores)
        # drawn on the CPU, so that the seed means the same on every device
        drawn = torch.multinomial(scores.softmax(-1).cpu(), 1, generator=self._generator)[:, 0]
        return drawn.to(logits.device)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
