"""Which prompts run together: batches without much padding, and groups that share their beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from coreheads.adapters.prompt.prompt import Prompt

FILL = 0.8
"""A batch's shortest prompt is at least this share of its longest: padding is computed too."""


@dataclass(frozen=True)
class Batch:
    """Numbers of prompts that run together, and how many first tokens, with all media, they share with their group."""

    rows: tuple[int, ...]
    prefix: int = 0


def plan(prompts: Sequence[Prompt], budget: int, share_prefix: bool) -> list[list[Batch]]:
    """Groups of batches; the batches of one group share their prefix. A batch of several has at most ``budget`` tokens.

    Left-padded batches hold prompts of about one length. The batches of a shared prefix hold prompts of exactly one
    length, so that nothing has to be padded between the prefix and what follows.
    """
    groups: list[list[Batch]] = []
    alone: list[int] = []
    for members, prefix in _shared(prompts) if share_prefix else [([i], 0) for i in range(len(prompts))]:
        if prefix == 0:
            alone += members
            continue
        groups.append([Batch(batch, prefix) for batch in _cut(members, prompts, budget, fill=1.0)])
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
        same = next((group for group in groups if _alike(prompts[group[0]], prompt)), None)
        if same is None:
            groups.append([index])
        else:
            same.append(index)
    return [(group, _common([prompts[i] for i in group])) for group in groups]


def _alike(left: Prompt, right: Prompt) -> bool:
    """Whether both begin with the same tokens up to the last vision token, and show the same pixels."""
    if not len(left.vision_tokens) or not torch.equal(left.vision_tokens, right.vision_tokens):
        return False
    end = int(left.vision_tokens[-1]) + 1
    if not torch.equal(left.inputs["input_ids"][:, :end], right.inputs["input_ids"][:, :end]):
        return False
    ours, theirs = left.vision_inputs, right.vision_inputs
    return ours.keys() == theirs.keys() and all(
        ours[name] is theirs[name] or torch.equal(ours[name], theirs[name]) for name in ours
    )


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
