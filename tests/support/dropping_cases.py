"""Prompts that lose tokens before chosen layers, in small models of all families, and what that should give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from adapter_cases import mixed
from family_cases import FAMILIES, MOE, adapter
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Cut

ALL = (*FAMILIES, MOE, "three")
"""``three``: Qwen3-VL of four layers, with vision features added after each of the first three."""


@dataclass(frozen=True)
class Given(Patch):
    """Before layer c keeps the places ``kept[c]`` of the prompt."""

    name: ClassVar[str] = "given"
    drops = True

    kept: dict[int, list[int]]
    renumbers: bool = False

    def stay(self, cut: Cut) -> Tensor | None:
        if cut.layer not in self.kept:
            return None
        return torch.isin(cut.places, torch.tensor(self.kept[cut.layer]))


@cache
def made(kind: str) -> Adapter:
    """In float64, which the experts of Qwen3-VL-MoE are not written for."""
    if kind != "three":
        return adapter(kind, dtype=torch.float32 if kind == MOE else torch.float64)
    base = adapter("qwen3_vl", dtype=torch.float64)
    config = deepcopy(base.model.config)
    config.vision_config.depth, config.vision_config.deepstack_visual_indexes = 3, [0, 1, 2]
    config.text_config.num_hidden_layers = 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen3VLForConditionalGeneration(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "visual" not in name:
                torch.nn.init.normal_(parameter, 0, 0.15)
    model.generation_config = base.model.generation_config
    return type(base)(model.double().eval(), base.processor, id=kind)


@cache
def inputs(kind: str) -> dict[str, Any]:
    own = made(kind)
    batch = own.collate([own.prepare(mixed())])
    return {name: value.to(own.dtype) if name.startswith("pixel_values") else value for name, value in batch.items()}


def seen(kind: str) -> Tensor:
    """Bool [L], where the vision tokens are."""
    return torch.isin(inputs(kind)["input_ids"][0], torch.tensor(made(kind).vision_token_ids))


def given(kind: str, cuts: tuple[int, ...], renumbers: bool = False) -> Given:
    """About two thirds of the vision tokens go before each of the layers."""
    generator, vision = torch.Generator().manual_seed(len(cuts)), seen(kind)
    left, kept = torch.ones_like(vision), {}
    for layer in cuts:
        left = left & (~vision | (torch.rand(len(vision), generator=generator) < 0.35))
        kept[layer] = left.nonzero()[:, 0].tolist()
    return Given(kept, renumbers)


def last(patch: Given) -> list[int]:
    return patch.kept[max(patch.kept)]


def numbered(positions: Tensor) -> Tensor:
    """Without the numbers that no token has."""
    values = sorted(set(positions.flatten().tolist()))
    return torch.tensor([values.index(value) for value in positions.flatten().tolist()]).reshape(positions.shape)


@contextmanager
def moved(kind: str, patch: Given) -> Iterator[None]:
    """The whole prompt, of which each layer reads the tokens left before it at positions without gaps."""
    decoder: Any = language_model(made(kind).model)
    noted: list[Tensor] = []
    locate = decoder.rotary_emb.register_forward_pre_hook(
        lambda _m, args, call: noted.append(call.get("position_ids", args[-1])), with_kwargs=True
    )

    def place(layer: int, args: Any, call: Any) -> Any:
        kept = [places for cut, places in patch.kept.items() if cut <= layer]
        if not kept:
            return None
        positions = noted[0].clone()
        positions[..., kept[-1]] = numbered(positions[..., kept[-1]])
        return args, {**call, "position_embeddings": decoder.rotary_emb.forward(args[0], positions)}

    hooks = [
        layer.register_forward_pre_hook(lambda _m, args, call, i=i: place(i, args, call), with_kwargs=True)
        for i, layer in enumerate(decoder.layers)
    ]
    try:
        yield
    finally:
        for hook in (locate, *hooks):
            hook.remove()


def close(kind: str, found: Tensor, expected: Tensor) -> None:
    # the experts are computed in float32, in another order for another number of tokens
    torch.testing.assert_close(found, expected, atol=2e-4 if kind == MOE else 1e-8, rtol=0)
