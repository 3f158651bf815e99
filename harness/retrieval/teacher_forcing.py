"""A right answer behind its prompt, read in one forward call: what head scores that need the answer share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.kernels import autotune
from coreheads.adapters.prompt.encoding import encode
from coreheads.errors import UserError

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


@dataclass(frozen=True)
class Forced:
    """A prompt of L tokens with the A tokens of its answer behind it.

    Attributes:
        inputs: What ``model.forward`` takes, a batch of one, L + A tokens.
        answer: LongTensor [A], on the model's device.
    """

    inputs: dict[str, Any]
    answer: Tensor

    @property
    def tokens(self) -> int:
        """L + A."""
        return int(self.inputs["input_ids"].shape[1])


def force(adapter: Adapter, prompt: Prompt, answer: str | None, score: str) -> Forced:
    """Put the answer's tokens behind the prompt, as the model would have written them, without an end token.

    UserError, which names the ``score``, where there is no answer.
    """
    if not isinstance(answer, str) or not answer.strip():
        raise UserError(f"{score}: answer is {answer!r}, expected the text of a right answer")
    found = zip(*encode(adapter.processor.tokenizer, answer, [(0, len(answer))]), strict=True)
    # what a tokenizer puts around any text stands for no character
    ids = torch.tensor([token for token, (start, end) in found if start < end], device=adapter.device)
    text = adapter.text_inputs(torch.cat([prompt.inputs["input_ids"][0], ids])[None])
    inputs = {**{name: value.to(adapter.device) for name, value in text.items()}, **prompt.vision_inputs}
    positions = adapter.position_ids(replace(prompt, inputs=inputs)).to(adapter.device)
    return Forced({**inputs, "position_ids": positions}, ids)


def log_probability(adapter: Adapter, forced: Forced) -> Tensor:
    """Log-probability of the answer, mean over its tokens so that long answers weigh no more: float32, a scalar."""
    count = len(forced.answer)
    logits = adapter.model(**forced.inputs, use_cache=False, logits_to_keep=count + 1).logits[0, -count - 1 : -1]
    chosen = logits.float().log_softmax(-1).gather(1, forced.answer.to(logits.device)[:, None])
    return chosen.mean()


@contextmanager
def many_passes(adapter: Adapter) -> Iterator[None]:
    """Inside the block the vision tower answers from memory: no head score changes what it sees."""
    with VisionCache().active(adapter.vision_modules):
        yield


@contextmanager
def differentiable(adapter: Adapter) -> Iterator[None]:
    """Gradients flow inside the block, but none to the model's parameters; as ``many_passes`` besides.

    Attention runs on the reference kernels, which have a backward pass on every device. A forward call keeps the
    activations of all layers of the language model, tens of times what an answer needs: one prompt at a time.
    """
    with (
        frozen(adapter.model),
        many_passes(adapter),
        autotune.forced(full="sdpa", window="blocks"),
        torch.enable_grad(),
    ):
        yield


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside the block; afterwards those do that did before."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
