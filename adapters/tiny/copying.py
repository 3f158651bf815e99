"""Initialisation of the decoder's attention as copying: the shape from which looking-up is quickly learnt.

Two things are set, once, between the alignment stage and training on answers:

- in the look-up layer the first ``CORE_GROUPS`` KV groups start as content matchers (each query projection is close
  to its group's key projection) that copy what was matched, through a value space laid over the words a look-up must
  fetch: digits, corners, stamps. Four of 96 heads begin this way, so that what the model looks things up with can
  fit in 5 % of its heads.
- in every later layer values are copied through an orthogonal basis, so that whatever was fetched can be passed on.

What they then attend to is left to the answers.
"""

from __future__ import annotations

import math

import torch
from coreheads.adapters.structure import head_shape, language_model
from coreheads.adapters.tiny.align import LOOKUP_LAYER, group_ids
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

CORE_GROUPS = 2
MATCH = 0.9
"""Share of a matching head's query projection that is its key projection."""
SHARPNESS = 1.7
"""Factor on the query norm of the look-up layer and those after it."""
COPY, REST = 0.3, 0.5
"""Weight of the copy, and of the random output projection it is added to."""


@torch.no_grad()
def initialise_copying(model: Qwen3VLForConditionalGeneration, seed: int) -> None:
    decoder = language_model(model)
    _, heads, groups = head_shape(model)
    generator = torch.Generator().manual_seed(seed)
    for index, layer in enumerate(decoder.layers):  # type: ignore[arg-type]
        if index < LOOKUP_LAYER:
            continue
        attention = layer.self_attn
        size = attention.head_dim
        attention.q_norm.weight.mul_(SHARPNESS)
        if index == LOOKUP_LAYER:
            values = _word_space(model, CORE_GROUPS * size, generator)
            key = attention.k_proj.weight.view(groups, 1, size, -1)[:CORE_GROUPS]
            query = attention.q_proj.weight.view(groups, heads // groups, size, -1)[:CORE_GROUPS]
            query.mul_(math.sqrt(1 - MATCH**2)).add_(MATCH * key)
        else:
            values = _frame(groups * size, attention.v_proj.weight.shape[1], generator)
        attention.v_proj.weight[: len(values)] = values
        per_head = values.view(-1, 1, size, values.shape[1]).expand(-1, heads // groups, -1, -1)
        copy = per_head.reshape(-1, values.shape[1]).T
        attention.o_proj.weight.mul_(REST)
        attention.o_proj.weight[:, : copy.shape[1]] += COPY * copy


def _word_space(model: Qwen3VLForConditionalGeneration, size: int, generator: torch.Generator) -> Tensor:
    """``size`` orthonormal rows over the main directions of the words to fetch, mixed so that every group's share
    holds a part of every word."""
    words = torch.cat([group_ids(group) for group in ("digit", "x", "y", "stamp")])
    table = model.get_input_embeddings().weight[words].float()
    directions = torch.linalg.svd(table, full_matrices=False).Vh[:size]
    if len(directions) < size:
        directions = torch.cat([directions, _frame(size - len(directions), table.shape[1], generator)])
    mix = torch.linalg.qr(torch.randn(size, size, generator=generator)).Q
    return mix @ directions


def _frame(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows, in as many independent sets as it takes."""
    sets = []
    while sum(map(len, sets)) < rows:
        sets.append(torch.linalg.qr(torch.randn(columns, columns, generator=generator)).Q)
    return torch.cat(sets)[:rows]
