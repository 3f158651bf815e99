"""A prompt with its right answer behind it, read in one forward call: what decoding that answer would attend to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreheads.adapters.prompt.encoding import encode
from coreheads.errors import UserError

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def with_answer(adapter: Adapter, prompt: Prompt, answer: str | None) -> tuple[dict[str, Any], Tensor]:
    """Model inputs of the prompt followed by the answer's m tokens, and the rows that predict them.

    Args:
        adapter: The model's.
        prompt: Prepared by it, of L tokens.
        answer: As text. The sign of an answer's end is not put behind it.

    Returns:
        A batch of one with L + m text columns and ``position_ids``, and LongTensor [m]: positions L - 1 to L + m - 2,
        those whose next token is the answer's first to last.

    Raises:
        UserError: There is no answer, or it has no tokens.
    """
    pieces = encode(adapter.processor.tokenizer, answer or "", [(0, len(answer or ""))])
    # what a tokenizer puts around any text holds no character of it
    ids = [token for token, (start, end) in zip(*pieces, strict=True) if end > start]
    if not ids:
        raise UserError(f"answer is {answer!r}, expected a text with at least one token")
    positions = adapter.position_ids(prompt)
    tokens = torch.tensor([ids], device=positions.device)
    added = adapter.text_inputs(tokens)
    inputs = {
        name: torch.cat([value, added[name]], -1) if name in added else value for name, value in prompt.inputs.items()
    }
    after = int(positions.max()) + 1 + torch.arange(len(ids), device=positions.device)
    inputs["position_ids"] = torch.cat([positions, after.expand(*positions.shape[:-1], -1)], -1)
    return inputs, torch.arange(prompt.tokens - 1, prompt.tokens + len(ids) - 1)
