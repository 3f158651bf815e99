"""A head score that is learned: gates between full attention and sink + window, one a KV head (DuoAttention)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.gates import WindowGates
from coreheads.adapters.value_checks import is_number, whole_number
from coreheads.errors import UserError
from coreheads.retrieval.teacher_forcing import Forced, differentiable

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt

SLOWEST = 0.1
"""Share of the learning rate in the first and in the last step."""


def duo(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    answers: Sequence[str | None],
    *,
    steps: int = 100,
    rate: float = 0.02,
    penalty: float = 0.05,
    sink: int = 4,
    window: int = 64,
) -> Tensor:
    """How much of its full attention each KV head keeps when gates are learned that cost something.

    Definition: see ``learn_gates``; a query head has the gate of the KV head that it reads.

    Source: DuoAttention, arXiv 2410.10819 (ICLR 2025).

    Published defaults: 2,000 steps of AdamW at a rate of 0.02, rising over the first and falling over the last fifth
    from and to a tenth of it; gates begin at 1 and are clamped to 0..1 after each step; penalty 0.05; sink 128, window
    256, on synthetic texts of up to 32,000 tokens that hide passkeys. Here the benchmark's own prompts and answers are
    learned from; 100 steps, sink 4 and window 64 suit a CPU and prompts from about 100 tokens.

    Args:
        adapter: from ``load_adapter``.
        prompts: from ``adapter.prepare``; each is learned from in turn.
        answers: a right answer to each.
        steps: how many prompts are learned from, in rounds.
        rate: AdamW's learning rate.
        penalty: weight of the gates' mean in the loss.
        sink: how many first tokens the local part sees.
        window: how many last tokens.

    Returns:
        Float32 [layers, heads], 0 to 1.

    Raises:
        UserError: a prompt has no answer, no prompt is longer than sink + window, or a number is out of its range.
    """
    gates, _ = learn_gates(adapter, prompts, answers, steps=steps, rate=rate, penalty=penalty, sink=sink, window=window)
    return gates.repeat_interleave(adapter.heads // adapter.kv_heads, dim=1)


def learn_gates(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    answers: Sequence[str | None],
    *,
    steps: int,
    rate: float,
    penalty: float,
    sink: int,
    window: int,
) -> tuple[Tensor, list[float]]:
    """Learn gates [layers, KV heads], 0 to 1, and give the loss before each step too.

    Heads give gate x full attention + (1 - gate) x sink + window. The loss of a prompt is the squared difference of
    the last hidden states from those of the unchanged model, mean over numbers and over the rows that predict the
    answer and what follows it, + ``penalty`` x the mean gate. Nothing else is learned, and the model is left as it was.
    """
    _check(steps, rate, penalty, sink, window)
    if not prompts or len(prompts) != len(answers):
        raise UserError(f"duo: {len(prompts)} prompts and {len(answers)} answers, expected as many, not 0")
    samples = [Forced(adapter, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    longest = max(sample.tokens for sample in samples)
    if longest <= sink + window:
        raise UserError(
            f"duo: sink + window is {sink + window}, expected less than the longest prompt's {longest} tokens"
        )
    gates = torch.ones(adapter.layers, adapter.kv_heads, device=adapter.device, requires_grad=True)
    optimizer = torch.optim.AdamW([gates], lr=rate, weight_decay=0.0)
    losses = []
    with differentiable(adapter):
        with torch.no_grad():
            wanted = [sample.last_states() for sample in samples[:steps]]
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * _pace(step, steps)
            sample, target = samples[step % len(samples)], wanted[step % len(samples)]
            with attached(adapter.model, WindowGates(gates, sink, window)):
                found = sample.last_states()
            loss = (found - target).square().mean().to(gates.device) + penalty * gates.mean()
            (gates.grad,) = torch.autograd.grad(loss, gates)
            optimizer.step()
            with torch.no_grad():
                gates.clamp_(0, 1)
            losses.append(loss.item())
    return gates.detach(), losses


def _pace(step: int, steps: int) -> float:
    """Share of the learning rate: rises over the first fifth of the steps and falls over the last."""
    return min(1.0, SLOWEST + (1 - SLOWEST) * min(step, steps - 1 - step) / max(1, steps // 5))


def _check(steps: int, rate: float, penalty: float, sink: int, window: int) -> None:
    whole_number("duo: steps is", steps)
    whole_number("duo: sink is", sink, least=0)
    whole_number("duo: window is", window)
    if not is_number(rate) or rate <= 0:
        raise UserError(f"duo: rate is {rate!r}, expected a number above 0")
    if not is_number(penalty) or penalty < 0:
        raise UserError(f"duo: penalty is {penalty!r}, expected a number of at least 0")
