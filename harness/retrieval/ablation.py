"""Head scores by taking heads out of action: one at a time, or random sets of them with a regression on who was out."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreheads.adapters.patches.ablate import Ablate, Mode
from coreheads.adapters.value_checks import is_number, whole_number
from coreheads.errors import UserError
from coreheads.heads.types import Head
from coreheads.regions import Region
from coreheads.retrieval.teacher_forcing import Forced, many_passes

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def single_ablation(
    adapter: Adapter,
    prompt: Prompt,
    regions: Sequence[Region] = (),
    *,
    answer: str | None = None,
    mode: Mode = "vision",
) -> Tensor:
    """What the answer loses without each head alone: log p(answer) less log p(answer) with the head ablated.

    Definition: by default the head is ablated by hiding the vision tokens from it, so that the score asks which heads
    must see the picture. A head that another one can stand in for scores nothing, however much it does. One forward
    pass a head, and one more.

    Source: common practice; zeroed heads one by one in Michel, Levy and Neubig, arXiv 1905.10650 (NeurIPS 2019).

    Published defaults: zeroing (mode ``zero``), and the task's metric in place of log p.

    Args:
        adapter: from ``load_adapter``.
        prompt: from ``adapter.prepare``.
        regions: not needed.
        answer: a right answer, as the prompt asks for it.
        mode: how a head is ablated, see ``Ablate``.

    Returns:
        Float32 [layers, heads], with a sign; nats a token of the answer.

    Raises:
        UserError: there is no answer, or no such mode.
    """
    forced = Forced(adapter, prompt, answer)
    with many_passes(adapter):
        whole = _without(adapter, forced, [], mode)
        lost = [whole - _without(adapter, forced, [head], mode) for head in _all_heads(adapter)]
    return torch.tensor(lost).view(adapter.layers, adapter.heads)


def head_attribution(
    adapter: Adapter,
    prompt: Prompt,
    regions: Sequence[Region] = (),
    *,
    answer: str | None = None,
    masks: int = 128,
    share: float = 0.25,
    ridge: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """What each head's view of the picture is worth to the answer, whatever other heads see it.

    Definition: the vision tokens are hidden from random sets of heads, each head being in a set with probability
    ``share``; the score is the head's coefficient in a ridge regression of log p(answer) on which heads see. Heads
    that stand in for each other are found, as long as sets hold them together. One forward pass a set.

    Source: Kim et al., arXiv 2509.17588 (2025).

    Published defaults: there the keys and values of image tokens are replaced by those of a baseline, and the logit of
    a one-word answer is regressed by least squares; here the keys are hidden, answers may have several tokens, and
    ``ridge`` lets the number of sets be smaller than that of heads. Every prompt has other sets, so that their
    chance evens out over samples.

    Args:
        adapter: from ``load_adapter``.
        prompt: from ``adapter.prepare``.
        regions: not needed.
        answer: a right answer, as the prompt asks for it.
        masks: number of sets.
        share: of the heads that a set hides the vision tokens from, above 0 and below 1.
        ridge: penalty on the squared coefficients, times ``masks``.
        seed: of the sets, together with the prompt's tokens.

    Returns:
        Float32 [layers, heads], with a sign; nats a token of the answer.

    Raises:
        UserError: there is no answer, or a number is out of its range.
    """
    whole_number("head_attribution: masks is", masks, least=2)
    whole_number("head_attribution: seed is", seed, least=0)
    for name, value, most in (("share", share, 1.0), ("ridge", ridge, float("inf"))):
        if not is_number(value) or not 0 < value < most:
            raise UserError(f"head_attribution: {name} is {value!r}, expected a number above 0 and below {most:g}")
    forced = Forced(adapter, prompt, answer)
    own = zlib.crc32(forced.inputs["input_ids"].cpu().numpy().tobytes())
    generator = torch.Generator().manual_seed(seed + (own << 16))
    heads = _all_heads(adapter)
    seeing = torch.rand(masks, len(heads), generator=generator) >= share
    with many_passes(adapter):
        values = [
            _without(adapter, forced, [head for head, sees in zip(heads, row, strict=True) if not sees], "vision")
            for row in seeing.tolist()
        ]
    return regression(seeing, torch.tensor(values), ridge).float().view(adapter.layers, adapter.heads)


def regression(present: Tensor, values: Tensor, ridge: float) -> Tensor:
    """Ridge regression with an intercept: float64 [P] coefficients of ``values`` [N] on bool ``present`` [N, P].

    They minimise the squared error + ridge x N x their squares.
    """
    inputs = present.double() - present.double().mean(0)
    penalty = ridge * len(values) * torch.eye(len(values), dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(inputs @ inputs.T + penalty, values.double() - values.double().mean())
    return inputs.T @ solved


def _all_heads(adapter: Adapter) -> list[Head]:
    return [(layer, head) for layer in range(adapter.layers) for head in range(adapter.heads)]


@torch.no_grad()
def _without(adapter: Adapter, forced: Forced, heads: Collection[Head], mode: Mode) -> float:
    """log p(answer) with these heads ablated."""
    with Ablate(frozenset(heads), mode=mode)(adapter.model) if heads else nullcontext():
        return float(forced.log_probability())
