"""The same tower as a SigLIP vision model and LLaVA-OneVision's projector, which has no layer norm of its own.

A third layer does the projector's: its MLP gives the norm of what it is shown, so loudly that what it is added to does
not count. Attention is off, and so are positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from coreheads.adapters.smol.recogniser import HIDDEN, WIDTH, Recogniser
from coreheads.adapters.smol.tower import LIFT, tower

LOUD = 1e8
"""Of the third layer; a unit of the second fires with 1e3 at most."""

QUIET = 0.25
"""Within the third layer's MLP, so that GELU at ``LIFT`` is the identity for every number of a norm."""

_VISION = "model.vision_tower."
_PROJECTOR = "model.multi_modal_projector."


def siglip(
    embeddings: Tensor, words: Sequence[int], blank: int, recogniser: Recogniser, positions: int
) -> dict[str, Tensor]:
    """Weights of ``model.vision_tower``, ``model.multi_modal_projector`` and the newline, an empty cell's line break.

    Args:
        embeddings: Of the language model, [vocabulary, width].
        words: The token of each word, in the order of the recogniser's units.
        blank: The token that an empty cell means.
        recogniser: The trained one.
        positions: Patches of a picture.

    Returns:
        Float32 tensors by name.
    """
    made = tower(embeddings, words, blank, recogniser)
    weights = {
        f"{_VISION}embeddings.patch_embedding.{part}": made[f"{_VISION}embeddings.patch_embeddings.projection.{part}"]
        for part in ("weight", "bias")
    }
    weights[f"{_VISION}embeddings.position_embedding.weight"] = torch.zeros(positions, HIDDEN)
    for number in range(3):
        layer = f"{_VISION}encoder.layers.{number}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights[f"{layer}self_attn.{name}.weight"] = torch.zeros(HIDDEN, HIDDEN)
            weights[f"{layer}self_attn.{name}.bias"] = torch.zeros(HIDDEN)
        for norm in ("layer_norm1", "layer_norm2"):
            weights |= _plain(f"{layer}{norm}.")
        for part in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
            given = made.get(f"{_VISION}encoder.layer.{number}.mlp.{part}")
            weights[f"{layer}mlp.{part}"] = _loud_norm()[part] if given is None else given
    weights |= _plain(f"{_VISION}post_layernorm.")
    weights |= {name: values for name, values in made.items() if name.startswith(f"{_PROJECTOR}linear_")}
    weights[f"{_PROJECTOR}linear_1.weight"] = weights[f"{_PROJECTOR}linear_1.weight"] / LOUD
    weights["model.image_newline"] = embeddings[blank].clone()
    return weights


def _loud_norm() -> dict[str, Tensor]:
    """An MLP that gives what it is given, times ``LOUD``."""
    return {
        "fc1.weight": torch.eye(WIDTH, HIDDEN) * QUIET,
        "fc1.bias": torch.full((WIDTH,), LIFT),
        "fc2.weight": torch.eye(HIDDEN, WIDTH) * (LOUD / QUIET),
        "fc2.bias": torch.full((HIDDEN,), -LIFT * LOUD / QUIET),
    }


def _plain(norm: str) -> dict[str, Tensor]:
    return {f"{norm}weight": torch.ones(HIDDEN), f"{norm}bias": torch.zeros(HIDDEN)}
