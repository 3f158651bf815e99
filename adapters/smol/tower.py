"""The vision tower: the recogniser's weights laid out as an InternVL vision model and projector.

- The patch embedding is the recogniser's filters; the first layer is its MLP, the second has a unit a word, whose
  output is the language model's own embedding of that word.
- Attention is off (``lambda_1`` is 0): a vision token is made from its own cell only, so what ``locate`` says is exact.
- An embedding is extended by two numbers that give all of them the same sum (0) and length: the projector's layer norm
  then takes away how strongly a unit fired and nothing else. The rest of the projector is the identity.
- A cell in which nothing is recognised means a line break.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from coreheads.adapters.smol.recogniser import HIDDEN, WIDTH, Recogniser
from coreheads.tasks.smol.print import CELL

STRENGTH = 100.0
"""Of a unit whose score is 1; a unit below 0 gives nothing (GELU)."""

BLANK = 1.0
"""Of the line break, which shows where no unit fires."""

REST = 0.02
"""Deviation of what the first layer leaves beside the units' output."""

LIFT = 8.0
"""Where GELU is the identity, for numbers as small as an embedding's."""


def tower(embeddings: Tensor, words: Sequence[int], blank: int, recogniser: Recogniser) -> dict[str, Tensor]:
    """Weights of ``model.vision_tower`` and ``model.multi_modal_projector``.

    Args:
        embeddings: Of the language model, [vocabulary, width].
        words: The token of each word, in the order of the recogniser's units.
        blank: The token that an empty cell means.
        recogniser: The trained one.

    Returns:
        Float32 tensors by name.
    """
    width = embeddings.shape[1]
    chosen = embeddings[[*words, blank]].double()
    square = float((chosen.square().sum(1) + chosen.sum(1).square() / 2).max()) * 1.01
    codes = extended(chosen, square)
    filters = recogniser.plain_filters().detach()
    scale = REST / filters.norm(dim=1).mean() / 4
    own = recogniser.state_dict()
    first, second = (f"model.vision_tower.encoder.layer.{layer}." for layer in (0, 1))
    spread = torch.zeros(HIDDEN, WIDTH)
    spread[:, : len(words)] = (codes[:-1] / codes.std()).T
    weights = {
        "model.vision_tower.embeddings.cls_token": torch.zeros(1, 1, HIDDEN),
        # the three colours are one grey
        "model.vision_tower.embeddings.patch_embeddings.projection.weight": (filters * scale / 3)
        .reshape(HIDDEN, 1, CELL, CELL)
        .repeat(1, 3, 1, 1),
        "model.vision_tower.embeddings.patch_embeddings.projection.bias": torch.zeros(HIDDEN),
        f"{first}mlp.fc1.weight": own["inner_in.weight"],
        f"{first}mlp.fc1.bias": own["inner_in.bias"],
        f"{first}mlp.fc2.weight": own["inner_out.weight"] * scale,
        f"{first}mlp.fc2.bias": own["inner_out.bias"] * scale,
        f"{second}mlp.fc1.weight": own["templates.weight"] * STRENGTH,
        f"{second}mlp.fc1.bias": own["templates.bias"] * STRENGTH,
        f"{second}mlp.fc2.weight": spread,
        f"{second}mlp.fc2.bias": codes[-1] / codes.std() * BLANK,
    }
    for layer in (first, second):
        weights |= _still(layer)
    project = "model.multi_modal_projector."
    weights |= {
        f"{project}layer_norm.weight": torch.ones(HIDDEN),
        f"{project}layer_norm.bias": torch.zeros(HIDDEN),
        f"{project}linear_1.weight": torch.eye(width, HIDDEN) * (square / HIDDEN) ** 0.5,
        f"{project}linear_1.bias": torch.full((width,), LIFT),
        f"{project}linear_2.weight": torch.eye(width),
        f"{project}linear_2.bias": torch.full((width,), -LIFT),
    }
    return {name: values.float().contiguous() for name, values in weights.items()}


def extended(embeddings: Tensor, square: float) -> Tensor:
    """[n, width] -> [n, 640] of sum 0, whose squares sum to ``square``; it begins with the embedding."""
    width = embeddings.shape[1]
    total = -embeddings.sum(1)
    apart = (2 * (square - embeddings.square().sum(1)) - total.square()).clamp_min(0).sqrt()
    codes = torch.zeros(len(embeddings), HIDDEN, dtype=embeddings.dtype)
    codes[:, :width] = embeddings
    codes[:, width], codes[:, width + 1] = (total + apart) / 2, (total - apart) / 2
    return codes


def _still(layer: str) -> dict[str, Tensor]:
    """What a layer has besides its MLP: attention that adds nothing, layer norms without a scale of their own."""
    weights = {
        f"{layer}attention.{name}.weight": torch.zeros(HIDDEN, HIDDEN) for name in ("q_proj", "k_proj", "v_proj")
    }
    weights[f"{layer}attention.projection_layer.weight"] = torch.zeros(HIDDEN, HIDDEN)
    weights[f"{layer}attention.projection_layer.bias"] = torch.zeros(HIDDEN)
    weights |= {f"{layer}lambda_1": torch.zeros(HIDDEN), f"{layer}lambda_2": torch.ones(HIDDEN)}
    for norm in ("layernorm_before", "layernorm_after"):
        weights |= {f"{layer}{norm}.weight": torch.ones(HIDDEN), f"{layer}{norm}.bias": torch.zeros(HIDDEN)}
    return weights
