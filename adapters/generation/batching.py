"""Which prompts run together: batches without much padding, and groups that share their beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreheads.adapters.prompt.prompt import Prompt

FILL = 0.8
"""A batch's shortest prompt is at least this share of its longest: padding is computed too."""


@dataclass(frozen=True)
class Batch:
    """Prompts that run in one batch.

    Attributes:
        rows: Their numbers.
        prefix: How many first tokens, and with them all media, are the same; 0 shares nothing.
    """

    rows: tuple[int, ...]
    prefix: int = 0


def plan(prompts: Sequence[Prompt], budget: int, share_prefix: bool) -> list[list[Batch]]:
    """Groups of batches; the batches of one group share their prefix.

    Left-padded batches hold prompts of about one length. The batches of a shared prefix hold prompts of exactly one
    length, so that nothing has to be padded between the prefix and what follows.

    Args:
        prompts: All prompts.
        budget: Tokens a batch of several prompts at most.
        share_prefix: Whether prompts on the same media are grouped.
    """
    groups: list[list[Batch]] = []
    alone: list[int] = []
    for members, prefix in _shared(prompts) if share_prefix else [([i], 0) for i in range(len(prompts))]:
        if prefix == 0:
            alone += members
            continue
        batches = _cut(members, prompts, budget, fill=1.0)
        groups.append([Batch(batch, prefix) for batch in batches])
    groups += [[Batch(batch)] for batch in _cut(alone, prompts, budget, FILL)]
    return groups


def _cut(members: Sequence[int], prompts: Sequence[Prompt], budget: int, fill: float) -> list[tuple[int, ...]]:
    batches: list[list[int]] = []
    for index in sorted(members, key=lambda i: prompts[i].tokens, reverse=True):
        longest = prompts[batches[-1][0]].tokens if batches else 0
        fits = batches and (len(batches[-1]) + 1) * longest <= budget
        if fits and prompts[index].tokens >= fill * longest:
            batches[-1].append(index)
        else:
            batches.append([index])
    return [tuple(batch) for batch in batches]


def _shared(prompts: Sequence[Prompt]) -> list[tuple[list[int], int]]:
    """Groups with the same media in the same places, and how many first tokens they share (0: not worth sharing)."""
    groups: list[list[int]] = []
    for index, prompt in enumerate(prompts):
        for group in groups:
            if _alike(prompts[group[0]], prompt):
                group.append(index)
                break
        else:
            groups.append([index])
    return [(group, _common([prompts[i] for i in group])) for group in groups]


def _alike(left: Prompt, right: Prompt) -> bool:
    """Whether both begin with the same tokens up to the last vision token, and show the same pixels."""
    if not len(left.vision_tokens) or not torch.equal(left.vision_tokens, right.vision_tokens):
        return False
    end = int(left.vision_tokens[-1]) + 1
    if not torch.equal(left.inputs["input_ids"][:, :end], right.inputs["input_ids"][:, :end]):
        return False
    ours, theirs = left.vision_inputs, right.vision_inputs
    return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)


def _same(left: Tensor, right: Tensor) -> bool:
    return left is right or (left.shape == right.shape and torch.equal(left, right))


def _common(prompts: Sequence[Prompt]) -> int:
    """Length of the common beginning; every prompt keeps at least one token after it."""
    if len(prompts) < 2:
        return 0
    rows = [prompt.inputs["input_ids"][0] for prompt in prompts]
    length = min(len(row) for row in rows) - 1
    for row in rows[1:]:
        different = (rows[0][:length] != row[:length]).nonzero()
        if len(different):
            length = int(different[0])
    return length
