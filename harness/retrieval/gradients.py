"""Head scores by gradients: how the answer's probability changes with a gate on each head's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.gates import OutputGates
from coreheads.adapters.value_checks import whole_number
from coreheads.regions import Region
from coreheads.retrieval.teacher_forcing import Forced, differentiable

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def taylor(adapter: Adapter, prompt: Prompt, regions: Sequence[Region] = (), *, answer: str | None = None) -> Tensor:
    """How steeply the answer's probability depends on each head: |d log p(answer) / d gate| where all gates are 1.

    Definition: a gate multiplies the head's output before the output projection, the first order of the Taylor
    expansion of what zeroing the head does. One forward and one backward pass.

    Source: Michel, Levy and Neubig, arXiv 1905.10650 (NeurIPS 2019).

    Published defaults: none to set. There the absolute gradients of the loss are averaged over the data, as a profile
    does here, and then divided by their norm within each layer, which is left out: heads of different layers stay
    comparable. The log-probability is the mean over the answer's tokens.

    Args:
        adapter: from ``load_adapter``.
        prompt: from ``adapter.prepare``.
        regions: not needed.
        answer: a right answer, as the prompt asks for it.

    Returns:
        Float32 [layers, heads], at least 0.

    Raises:
        UserError: there is no answer.
    """
    forced = Forced(adapter, prompt, answer)
    with differentiable(adapter):
        return _gradient(adapter, forced, 1.0).abs()


def integrated_gradients(
    adapter: Adapter, prompt: Prompt, regions: Sequence[Region] = (), *, answer: str | None = None, steps: int = 8
) -> Tensor:
    """Each head's share in the answer's log-probability, gained as the gates of all heads go from 0 to 1 together.

    Definition: the integral over t in 0..1 of d log p(answer) / d gate where all gates are t, by the midpoint rule.
    All heads' scores together are log p(answer) of the model less that of the model without any head, but for the
    rule's error. Most of the way leads through broken models: what they need counts too.

    Source: Sundararajan, Taly and Yan, arXiv 1703.01365 (ICML 2017), with heads as the features and no head as the
    baseline.

    Published defaults: 20 to 300 steps; 8 here, which costs as many forward and backward passes.

    Args:
        adapter: from ``load_adapter``.
        prompt: from ``adapter.prepare``.
        regions: not needed.
        answer: a right answer, as the prompt asks for it.
        steps: number of midpoints.

    Returns:
        Float32 [layers, heads], with a sign.

    Raises:
        UserError: there is no answer, or no step.
    """
    whole_number("integrated_gradients: steps is", steps)
    forced = Forced(adapter, prompt, answer)
    with differentiable(adapter):
        total = sum(_gradient(adapter, forced, (step + 0.5) / steps) for step in range(steps))
    return torch.as_tensor(total / steps)


def _gradient(adapter: Adapter, forced: Forced, gate: float) -> Tensor:
    """d log p(answer) / d gate [layers, heads] where every head's gate is ``gate``."""
    gates = torch.full((adapter.layers, adapter.heads), gate, device=adapter.device, requires_grad=True)
    with attached(adapter.model, OutputGates(gates)):
        value = forced.log_probability()
    return torch.autograd.grad(value, gates)[0]
