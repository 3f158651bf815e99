"""Initialisation of the decoder's attention as matching and copying: the shape from which looking-up is quickly learnt.

Set once, between the alignment stage and training on answers:

- in the look-up layer the heads of the first ``CORE_GROUPS`` KV groups start as matchers: their queries and keys are
  the same projection onto the words for objects, plus one direction that tells vision tokens from text and draws
  queries of text tokens to keys of vision tokens (else a word would match itself best). Their values are a projection
  onto the words that a look-up must fetch (digits, corners, stamps), their outputs its transpose. Four of 96 heads
  begin this way, so that what the model looks things up with can fit in 5 % of its heads.
- in every later layer values are copied through an orthogonal basis, so that whatever was fetched can be passed on.

From there on the answers alone decide what the heads attend to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from coreheads.adapters.generation.structure import head_shape, language_model
from coreheads.adapters.tiny.training.align import LOOKUP_LAYER, EntryState, group_ids
from coreheads.adapters.tiny.training.forward import decoder_states
from coreheads.adapters.tiny.training.packing import Batch

CORE_GROUPS = 2
SHARPNESS = 1.7
"""Factor on the query norm of the look-up layer and those after it."""
FAST = 5
"""Rotary pairs of a head that turn too fast to match content over hundreds of positions; matchers leave them out."""
TOWARDS_VISION = 0.5
"""Energy of the direction to vision tokens, as a share of the energy of the name match."""
NOISE = 0.2
"""Deviation of the noise on a matching query projection, as a share of a random projection's."""
COPY, REST = 0.3, 0.5
"""Weight of the copy, and of the random output projection it is added to."""


@torch.no_grad()
def initialise_copying(
    model: Qwen3VLForConditionalGeneration, entry: EntryState, batches: Sequence[Batch], seed: int
) -> None:
    """``batches`` show what vision and text tokens look like where the look-up layer begins."""
    generator = torch.Generator().manual_seed(seed)
    vision, text = [], []
    for batch in batches:
        decoder_states(model, batch)
        states = entry.input()
        vision.append(states[batch.is_vision])
        text.append(states[batch.is_text])
    _, heads, groups = head_shape(model)
    for index, layer in enumerate(language_model(model).layers):  # type: ignore[arg-type]
        if index < LOOKUP_LAYER:
            continue
        attention = layer.self_attn
        size = attention.head_dim
        attention.q_norm.weight.mul_(SHARPNESS)
        if index == LOOKUP_LAYER:
            match = _matcher(model, size, torch.cat(vision), torch.cat(text), generator)
            attention.k_proj.weight.view(groups, size, -1)[:CORE_GROUPS] = match
            query = attention.q_proj.weight.view(groups, heads // groups, size, -1)[:CORE_GROUPS]
            match[:, [size // 2 - 1, size - 1]] *= -1  # text lies on the other side of that direction
            query.mul_(NOISE).add_(match[:, None])
            values = _span(model, ("digit", "x", "y", "stamp"), CORE_GROUPS * size, generator)
        else:
            values = _frame(groups * size, attention.v_proj.weight.shape[1], generator)
        attention.v_proj.weight[: len(values)] = values
        per_head = values.view(-1, 1, size, values.shape[1]).expand(-1, heads // groups, -1, -1)
        copy = per_head.reshape(-1, values.shape[1]).T
        attention.o_proj.weight.mul_(REST)
        attention.o_proj.weight[:, : copy.shape[1]] += COPY * copy


def _matcher(
    model: Qwen3VLForConditionalGeneration, size: int, vision: Tensor, text: Tensor, generator: torch.Generator
) -> Tensor:
    """Key projections [CORE_GROUPS, size, hidden]: names in slow rotary pairs, vision against text in the slowest."""
    half = size // 2
    slow = [*range(FAST, half - 1), *range(half + FAST, size - 1)]
    names = _span(model, ("name",), CORE_GROUPS * len(slow), generator).view(CORE_GROUPS, len(slow), -1)
    apart = vision.mean(0) - text.mean(0)
    middle = (vision.mean(0) + text.mean(0)) / 2
    direction = apart / apart.norm()
    # a projection has no bias: make the direction blind to what vision and text have in common
    direction = direction - (direction @ middle) / (middle @ middle) * middle
    direction = direction / direction.norm()
    name_energy = torch.stack([(text @ group.T).square().sum(-1).mean() for group in names]).mean()
    direction_energy = (text @ direction).square().mean()
    match = names.new_zeros(CORE_GROUPS, size, names.shape[-1])
    match[:, slow] = names
    share = (TOWARDS_VISION * name_energy / direction_energy / 2).sqrt()
    match[:, [half - 1, size - 1]] = share * direction
    return match


def _span(
    model: Qwen3VLForConditionalGeneration, names: Sequence[str], size: int, generator: torch.Generator
) -> Tensor:
    """``size`` orthonormal rows [size, hidden] over the main directions of the words of these groups, mixed so that
    every share of the rows holds a part of every word."""
    words = torch.cat([group_ids(name) for name in names])
    table = model.get_input_embeddings().weight[words].float()
    directions = torch.linalg.svd(table - table.mean(0), full_matrices=False).Vh[: min(len(words) - 1, 2 * size)]
    if len(names) > 1:
        directions = directions[:size]  # what is fetched must be told apart: keep the strongest directions only
    if len(directions) < size:
        directions = torch.cat([directions, _frame(size - len(directions), table.shape[1], generator)])
    mix = torch.linalg.qr(torch.randn(len(directions), len(directions), generator=generator)).Q
    rows: Tensor = (mix @ directions)[:size]
    return rows


def _frame(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows, in as many independent sets as it takes."""
    count = -(-rows // columns)
    sets = [torch.linalg.qr(torch.randn(columns, columns, generator=generator)).Q for _ in range(count)]
    frame: Tensor = torch.cat(sets)[:rows]
    return frame
