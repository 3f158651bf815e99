"""The alignment loss: what each token stands for must be readable where the looking-up layer begins.

Like the connector pre-training of large multimodal models, it ties what the pictures show to the words for it: the
state that enters layer ``LOOKUP_LAYER``, read through the final norm and the tied word table, must name the cell's
object, the digit beside it, its top left corner and the picture's stamp, and for a text token the token itself.
Attention takes no part in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.tiny.training.packing import Batch, word_ids
from coreheads.tasks.mini import sprites
from coreheads.tasks.mini.vocabulary import BINS, DIGITS, NAMES, STAMPS, X_WORDS, Y_WORDS
from coreheads.tasks.mini.world import Scene

LOOKUP_LAYER = 2

GROUPS = {"name": NAMES, "digit": DIGITS, "x": X_WORDS, "y": Y_WORDS, "stamp": STAMPS}
"""What a vision token may stand for, and the words for it."""


def group_ids(group: str) -> Tensor:
    return torch.tensor([word_ids()[word] for word in GROUPS[group]])


def cell_labels(scene: Scene) -> dict[str, NDArray[np.int64]]:
    """Index into each group's words for every cell in reading order; -1 where there is nothing to say."""
    kinds = scene.kinds.astype(np.int64)
    pictures, rows, columns = kinds.shape
    is_small = (kinds >= sprites.SMALL) & (kinds < sprites.DIGIT)
    is_big = (kinds >= sprites.BIG) & (kinds < sprites.STAMP)
    quarter = np.where(is_big, (kinds - sprites.BIG) % 4, 0)
    name = np.where(is_small, kinds - sprites.SMALL, np.where(is_big, (kinds - sprites.BIG) // 4, -1))
    is_digit = (kinds >= sprites.DIGIT) & (kinds < sprites.BIG)
    beside = np.full_like(kinds, -1)
    beside[:, :, :-1] = np.where(is_digit, kinds - sprites.DIGIT, -1)[:, :, 1:]
    corner_x = np.rint((np.arange(columns)[None, None, :] - quarter % 2) * BINS / columns).astype(np.int64)
    corner_y = np.rint((np.arange(rows)[None, :, None] - quarter // 2) * BINS / rows).astype(np.int64)
    stamps = np.array(scene.stamps or [-1] * pictures, np.int64)
    return {
        "name": name.reshape(-1),
        "digit": np.where(is_small, beside, -1).reshape(-1),
        "x": corner_x.reshape(-1),
        "y": corner_y.reshape(-1),
        "stamp": np.repeat(stamps, rows * columns),
    }


def alignment(model: Qwen3VLForConditionalGeneration, normed: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Loss and accuracies; ``normed``: the state entering the look-up layer after the final norm, [B, L, hidden]."""
    table = model.get_input_embeddings().weight
    vision = normed[batch.is_vision]
    labels = [cell_labels(scene) for scene in batch.scenes]
    loss = normed.new_zeros(())
    accuracy = {}
    for group in GROUPS:
        target = torch.from_numpy(np.concatenate([label[group] for label in labels]))
        known = target >= 0
        if known.any():
            logits = F.linear(vision[known], table[group_ids(group)]).float()
            loss = loss + F.cross_entropy(logits, target[known])
            accuracy[group] = (logits.argmax(-1) == target[known]).float().mean().item()
    words = batch.input_ids[batch.is_text]
    logits = F.linear(normed[batch.is_text], table).float()
    accuracy["word"] = (logits.argmax(-1) == words).float().mean().item()
    return loss + F.cross_entropy(logits, words), accuracy


class EntryState:
    """Keeps the state that last entered the look-up layer, [B, L, hidden]."""

    def __init__(self, model: Qwen3VLForConditionalGeneration) -> None:
        decoder: Any = language_model(model)
        self._norm = decoder.norm
        self._input_norm = decoder.layers[LOOKUP_LAYER].input_layernorm
        self._state: Tensor
        decoder.layers[LOOKUP_LAYER].register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, _: torch.nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        self._state = args[0] if args else kwargs["hidden_states"]

    def normed(self) -> Tensor:
        """After the final norm, as the word table reads it."""
        state: Tensor = self._norm(self._state)
        return state

    def input(self) -> Tensor:
        """After the look-up layer's own norm, as its projections read it."""
        state: Tensor = self._input_norm(self._state)
        return state
