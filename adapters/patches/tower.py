"""What a block of the vision tower attends to, for methods that score vision tokens by it.

The block's queries and keys are kept as they are computed, and nothing changes in the tower. ``VisionCache`` remembers
them with the features. What each patch receives is added up when a method chooses, a few rows at a time: it is part of
its prefill's time, also where features come from memory, and no matrix of all patches by all patches is held.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import vision_tower
from coreheads.adapters.generation.vision_cache import READER
from coreheads.errors import UserError, expected_one_of

NAME = "coreheads_tower"
BLOCK = "_coreheads_block"
ROOM = 1 << 24
"""Products of queries and keys held at once."""
NOT_SEEN = -1.0
"""Score of a vision token that no patch stands behind."""
FAMILIES = ("internvl", "llava_onevision", "qwen3_vl", "qwen3_vl_moe")


@dataclass(frozen=True)
class TowerShape:
    """Sizes of what ``Tower.tokens`` computes.

    Attributes:
        width: Of all heads' keys together.
        patches: How many stand behind a vision token; where features are resized, of a picture.
        queries: How many score a patch; 0 for all patches of its picture or frame.
    """

    width: int
    patches: int
    queries: int

    @classmethod
    def of(cls, model: nn.Module) -> TowerShape | None:
        """By a model's configuration; None for a family that is not known."""
        config: Any = model.config
        if config.model_type not in FAMILIES:
            return None
        own = config.vision_config
        if config.model_type.startswith("qwen3_vl"):
            return cls(own.hidden_size, own.spatial_merge_size**2, 0)
        if config.model_type == "internvl":
            return cls(own.hidden_size, round(1 / config.downsample_ratio) ** 2, 1)
        return cls(own.hidden_size, 1, (own.image_size // own.patch_size) ** 2)

    def score_flops(self, tokens: int) -> int:
        """FLOPs of the products by which the patches of a picture or frame of so many vision tokens are scored."""
        patches = tokens * self.patches
        return 2 * patches * (self.queries or patches) * self.width


class Tower:
    """Queries and keys of one block during a forward call of the whole model, and what maps patches to tokens."""

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = getattr(model, "model", model)
        self.parts: list[tuple[Tensor, Tensor, float]] = []
        self.calls: list[list[tuple[Tensor, Tensor, float]]] = []
        self.inputs: dict[str, Any] = {}

    def begin(self, _module: nn.Module, _args: tuple[Any, ...], call: dict[str, Any]) -> None:
        """A forward call of the whole model."""
        self.calls, self.inputs = [], call

    def end(self, *_: object) -> None:
        """Forget the call."""
        self.parts, self.calls, self.inputs = [], [], {}

    def enter(self, *_: object) -> None:
        """The tower is called for the pictures, or for the videos."""
        self.parts = []

    def leave(self, *_: object) -> None:
        """It has run, or has answered from memory."""
        self.calls.append(self.parts)

    def tokens(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Attention that each vision token of a prompt receives, and its keys, by way of its patches.

        Scores are the mean over the queries, or with a CLS token its attention, and the mean over heads. Where the
        family merges patches or resizes features, scores and keys are averaged or resized in the same way.

        Args:
            ids: Long [V], input ids of the vision tokens.

        Returns:
            Float32 [V], ``NOT_SEEN`` where a token stands for no patch; and float32 [V, heads x head_dim].

        Raises:
            ValueError: If the tower was not called for them.
        """
        calls, found = iter(self.calls), None
        for name in ("image", "video"):
            number = getattr(self.model.config, f"{name}_token_id", None)
            if number is None or not bool((ids == number).any()):
                continue
            rows = self._of_tokens(name, self._map(next(calls, [])))
            at = (ids == number).to(rows.device)
            if len(rows) != int(at.sum()):
                raise ValueError(f"the vision tower gave {len(rows)} tokens, the prompt has {int(at.sum())}")
            found = rows.new_zeros(len(ids), rows.shape[1]) if found is None else found
            found[at] = rows
        assert found is not None
        return found[:, 0], found[:, 1:]

    def _map(self, parts: list[tuple[Tensor, Tensor, float]]) -> Tensor:
        """[pictures, patches, 1 + width]: score and keys of each patch; Qwen3-VL's pictures are joined to one."""
        cls = self.model.config.model_type == "internvl"
        maps = []
        for query, key, scaling in parts:
            scores = received(query[:, :, :1] if cls else query, key, scaling)
            maps.append(torch.cat([scores[:, :, None], key.transpose(1, 2).flatten(2).float()], 2)[:, int(cls) :])
        if not maps:
            raise ValueError("the vision tower's attention is not known: call the model with pixels")
        return torch.cat(maps, 1)

    def _of_tokens(self, kind: str, maps: Tensor) -> Tensor:
        """The rows for the vision tokens of a kind, in their order, [v, 1 + width]."""
        config, width = self.model.config, maps.shape[2]
        if config.model_type.startswith("qwen3_vl"):
            return maps.reshape(-1, config.vision_config.spatial_merge_size**2, width).mean(1)
        if config.model_type == "internvl":
            side, merged = int(maps.shape[1] ** 0.5), round(1 / config.downsample_ratio)
            squares = maps.reshape(len(maps), side // merged, merged, side // merged, merged, width)
            return squares.mean((2, 4)).reshape(-1, width)
        newline = maps.new_zeros(width)
        newline[0] = NOT_SEEN
        if kind == "video":
            videos = self.inputs["pixel_values_videos"].shape[0]
            pooled = self.model.apply_pooling(maps).reshape(videos, -1, width)
            return torch.cat([pooled, newline.expand(videos, 1, width)], 1).flatten(0, 1)
        sizes = self.inputs["image_sizes"]
        pictures = (
            [maps] if len(sizes) == 1 else list(torch.split(maps, 1))
        )  # tiles are made of a picture that is alone
        packed, _ = self.model.pack_image_features(pictures, sizes, newline, config.vision_aspect_ratio)
        return torch.cat(packed)


@contextmanager
def tower_read(model: nn.Module) -> Iterator[Tower]:
    """Keep queries and keys of the tower's last block but one inside the block, or of the only one.

    UserError as ``check_tower``.
    """
    check_tower(model)
    _register()
    reader, tower, module = Tower(model), vision_tower(model), _attention(model)
    before = module.config
    module.config = copy(before)
    module.config._attn_implementation = NAME
    setattr(module, BLOCK, (reader, before._attn_implementation))
    setattr(tower, READER, reader)
    inner = reader.model
    hooks = [
        inner.register_forward_pre_hook(reader.begin, with_kwargs=True),
        inner.register_forward_hook(reader.end, always_call=True),
        tower.register_forward_pre_hook(reader.enter),
        tower.register_forward_hook(reader.leave),
    ]
    try:
        yield reader
    finally:
        for hook in hooks:
            hook.remove()
        delattr(tower, READER)
        delattr(module, BLOCK)
        module.config = before


def check_tower(model: nn.Module) -> None:
    """UserError where a model's vision tower is of no known family, or its attention is switched off."""
    kind: str = model.config.model_type  # type: ignore[union-attr, assignment]
    if kind not in FAMILIES:
        raise UserError(f"vision tower of {kind!r} cannot be read, {expected_one_of(kind, FAMILIES)}")
    module = _attention(model)
    layer: Any = next(layer for layer in vision_tower(model).modules() if module in layer.children())
    scale = getattr(layer, "lambda_1", None)
    if scale is not None and not bool(scale.any()):
        raise UserError("the vision tower's attention is switched off (its layer scale is 0): it scores no token")


def _attention(model: nn.Module) -> Any:
    modules = [module for module in vision_tower(model).modules() if hasattr(module, "is_causal")]
    return modules[-2:][0]


@cache
def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **call: Any
) -> Any:
    """By the tower's own kernel, and keep query and key."""
    from transformers import AttentionInterface

    reader, kernel = getattr(module, BLOCK)
    reader.parts.append((query, key, call.get("scaling") or query.shape[3] ** -0.5))
    eager = vars(sys.modules[type(module).__module__])["eager_attention_forward"]
    attend = AttentionInterface().get_interface(kernel, eager)
    return attend(module, query, key, value, attention_mask=attention_mask, **call)


def received(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Attention [B, N] that each key gets, mean over queries and heads, float32.

    Args:
        query: [B, heads, Q, head_dim], all of which see all keys.
        key: [B, heads, N, head_dim].
        scaling: Factor on their products.
    """
    batch, heads, rows, _ = query.shape
    total = torch.zeros(batch, key.shape[2], device=key.device)
    for part in torch.split(query, max(1, ROOM // (batch * heads * key.shape[2])), dim=2):
        weights = torch.softmax((part @ key.transpose(2, 3)).float() * scaling, dim=-1)
        total += weights.sum((1, 2))
    return total / (heads * rows)
