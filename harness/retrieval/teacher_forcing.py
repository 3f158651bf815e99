"""Forward calls on a prompt with its right answer behind it, as head scores by gradients and by ablation make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.kernels import autotune
from coreheads.retrieval.answers import with_answer

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


class Forced:
    """A prompt with its answer of m tokens behind it; UserError where there is none.

    Attributes:
        inputs: What ``model.forward`` takes, a batch of one.
        rows: LongTensor [m]: the positions whose next token is the answer's first to last.
        tokens: Number of all tokens.
    """

    def __init__(self, adapter: Adapter, prompt: Prompt, answer: str | None) -> None:
        self._adapter = adapter
        self.inputs, self.rows = with_answer(adapter, prompt, answer)
        self.tokens = int(self.inputs["input_ids"].shape[1])

    def log_probability(self) -> Tensor:
        """Of the answer, mean over its tokens so that a long one weighs no more: a float32 scalar, in nats."""
        count = len(self.rows)
        answer = self.inputs["input_ids"][0, -count:]
        output = self._adapter.model(**self.inputs, use_cache=False, logits_to_keep=count + 1)
        logits: Tensor = output.logits[0, :-1]
        return logits.float().log_softmax(-1).gather(1, answer.to(logits.device)[:, None]).mean()

    def last_states(self) -> Tensor:
        """Float32 [m + 1, hidden size]: the last hidden states of the rows that predict the answer, and its end."""
        inner = getattr(self._adapter.model, "model", self._adapter.model)
        states: Tensor = inner(**self.inputs, use_cache=False).last_hidden_state
        return states[0, -len(self.rows) - 1 :].float()


@contextmanager
def many_passes(adapter: Adapter) -> Iterator[None]:
    """Inside the block the vision tower answers from memory: no head score changes what it sees."""
    with VisionCache().active(adapter.vision_modules):
        yield


@contextmanager
def differentiable(adapter: Adapter) -> Iterator[None]:
    """Gradients flow inside the block, but none to the model's parameters; as ``many_passes`` besides.

    Attention runs on the reference kernels, which have a backward pass on every device. A forward call keeps the
    activations of all layers of the language model, many times what answering needs: one prompt at a time.
    """
    with (
        frozen(adapter.model),
        many_passes(adapter),
        autotune.forced(full="sdpa", window="blocks", hybrid="passes"),
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
