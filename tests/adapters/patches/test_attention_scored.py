"""FastV and PyramidDrop: the tokens that stay are those of their definitions, by eager attention weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from dropping_cases import ALL, Given, close, inputs, made, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import logits
from torch import Tensor

from coreheads import Ablate, Hybrid, UserError
from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.patches.drop_vision import Dropping
from coreheads.adapters.patches.fastv import FastV
from coreheads.adapters.patches.hooks import Cut, Step
from coreheads.adapters.patches.on_top import OnTop
from coreheads.adapters.patches.pyramiddrop import PyramidDrop
from coreheads.adapters.patches.registry import make_patch
from coreheads.adapters.patches.snapkv import SnapKV

KEEP = 0.4


@dataclass(frozen=True)
class _Noting(FastV):
    noted: dict[int, list[int]] = field(default_factory=dict)

    def stay(self, cut: Cut) -> Tensor | None:
        return noted(self, cut, super().stay(cut))


@dataclass(frozen=True)
class _NotingPyramid(PyramidDrop):
    noted: dict[int, list[int]] = field(default_factory=dict)

    def stay(self, cut: Cut) -> Tensor | None:
        return noted(self, cut, super().stay(cut))


def noted(patch: Any, cut: Cut, stay: Tensor | None) -> Tensor | None:
    if stay is not None:
        patch.noted[cut.layer] = cut.places[stay].tolist()
    return stay


@contextmanager
def weights(model: Any) -> Iterator[dict[int, Tensor]]:
    """Attention [heads, L, L] of every layer, as transformers' own eager attention gives it."""
    config: Any = language_model(model).config
    before, config._attn_implementation = config._attn_implementation, "eager"
    found: dict[int, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _a, output, layer=layer: found.update({layer: output[1][0]}))
        for layer, module in enumerate(attention_modules(model))
    ]
    try:
        yield found
    finally:
        config._attn_implementation = before
        for hook in hooks:
            hook.remove()


def best(scores: Tensor, places: list[int], vision: Tensor, count: int) -> list[int]:
    """All text and ``count`` of the places of vision tokens."""
    ranked = sorted((i for i, place in enumerate(places) if vision[place]), key=lambda i: -float(scores[i]))
    stay = {places[i] for i in ranked[:count]}
    return [place for place in places if not vision[place] or place in stay]


@pytest.mark.parametrize(("kind", "layer"), [*((kind, 1) for kind in ALL), ("three", 2), ("three", 3)])
def test_fastv_keeps_what_the_last_token_attends_to(kind: str, layer: int) -> None:
    own, batch, vision = made(kind), inputs(kind), seen(kind)
    length, count = len(vision), int(vision.sum())
    with weights(own.model) as attention:
        dense = logits(own.model, batch)
    expected = best(attention[layer - 1][:, -1].mean(0), list(range(length)), vision, round(KEEP * count))
    patch = _Noting(KEEP, layer)
    with patch(own.model):
        found = logits(own.model, batch)
    assert patch.noted == {layer: expected}
    with Given({layer: expected})(own.model):
        close(kind, found, logits(own.model, batch))
    with FastV(1.0, layer)(own.model):
        torch.testing.assert_close(logits(own.model, batch), dense, atol=2e-4, rtol=0)
    assert patch.tokens_left(own.layers, 7, count) == [
        7 + (count if number < layer else round(KEEP * count)) for number in range(own.layers)
    ]


@pytest.mark.parametrize("positions", ["kept", "renumbered"])
@pytest.mark.parametrize("kind", ALL)
def test_pyramiddrop_keeps_what_the_last_text_token_would_attend_to(kind: str, positions: Any) -> None:
    own, batch, vision = made(kind), inputs(kind), seen(kind)
    total, kept, places = int(vision.sum()), {}, list(range(len(vision)))
    cuts = {2: [(0, 1), (1, 3)], 4: [(1, 1), (2, 2), (3, 3)]}[own.layers]
    for layer, stage in cuts:
        with Given(dict(kept), positions == "renumbered")(own.model), weights(own.model) as attention:
            logits(own.model, batch)
        count = max(1, round(0.6**stage * total))
        places = kept[layer] = best(attention[layer][:, -1].mean(0), places, vision, count)
    patch = _NotingPyramid(0.6, positions=positions)
    with patch(own.model):
        found = logits(own.model, batch)
    assert patch.noted == kept
    with Given(kept, positions == "renumbered")(own.model):
        close(kind, found, logits(own.model, batch))
    entering, now = [], len(vision)
    for layer in range(own.layers):
        now = len(kept.get(layer, range(now)))
        entering.append(now)
    assert patch.tokens_left(own.layers, len(vision) - total, total) == entering


@pytest.mark.parametrize("kind", ALL)
def test_answers_are_decoded_where_the_prompt_left_off(kind: str) -> None:
    """The next token follows the renumbered prompt in each layer: a longer prompt that was cut alike says so."""
    own = made(kind)
    prompt = own.prepare(user(image_part(picture(61, 60)), text_part("where is it ?")))
    for patch in (FastV(KEEP, 1), FastV(KEEP, 1, positions="renumbered"), PyramidDrop(KEEP)):
        with patch(own.model):
            first, second = own.generate([prompt, prompt], 4)
            assert first.token_ids == second.token_ids
    for below in (FastV(KEEP, 1), PyramidDrop(KEEP)):
        patch = OnTop(Hybrid({(0, 1), (1, 2)}, 2, 5), below)
        with patch(own.model):
            plain = own.generate([prompt], 4)[0].token_ids
            assert (
                own.generate([prompt], 4, cache_factory=lambda own=own, p=patch: p.cache(own.model))[0].token_ids
                == plain
            )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.floats(0.05, 0.99), st.integers(0, 99))
def test_of_equal_ones_the_first_stays(runs: list[int], keep: float, seed: int) -> None:
    """Few different keys, so that most scores are equal."""
    is_vision = torch.tensor([flag for run in runs for flag in [False, *[True] * run]] + [False])
    places = torch.arange(len(is_vision))
    cut, random = Cut(1, torch.zeros(len(places), 4), places, places, is_vision), np.random.default_rng(seed)
    query, key = random.integers(-1, 2, (4, 3)).astype(float), random.integers(-1, 2, (2, len(cut.places), 3)) * 1.0
    scores = np.zeros(len(cut.places))
    for head in range(4):
        exact = [math.exp(sum(a * b for a, b in zip(query[head], k, strict=True))) for k in key[head // 2]]
        scores += np.array(exact) / sum(exact) / 4
    patch = FastV(keep, 1)
    states = (torch.tensor(query)[None, :, None].repeat(1, 1, 2, 1), torch.tensor(key)[None])
    states[0][:, :, 0] += 1  # another row, which does not count
    patch.observe(Step(0, 0, *states, states[1], 1.0, (Group((0, 1, 2, 3), ()),), None))
    patch.observe(Step(1, 0, *states, states[1], 9.0, (Group((0, 1, 2, 3), ()),), None))
    stay = patch.stay(cut)
    vision = cut.vision.nonzero()[:, 0].tolist()
    expected = sorted(sorted(vision, key=lambda i: (-round(scores[i], 9), i))[: max(1, round(keep * len(vision)))])
    found = vision if stay is None else [i for i in vision if stay[i]]
    assert [round(scores[i], 9) for i in sorted(found, key=lambda i: -scores[i])] == [
        round(scores[i], 9) for i in sorted(expected, key=lambda i: -scores[i])
    ]
    assert stay is None or found == expected


def test_pyramiddrop_cuts_at_quarters_of_any_depth() -> None:
    assert dict(PyramidDrop().cuts(32)) == {8: 0.5, 16: 0.25, 24: 0.125}
    assert dict(PyramidDrop().cuts(6)) == {2: 0.5, 3: 0.25, 4: 0.125}
    assert PyramidDrop().tokens_left(6, 10, 100) == [110, 110, 60, 35, 22, 22]
    assert PyramidDrop().tokens_left(4, 10, 0) == [10] * 4


def test_they_say_what_they_are_and_refuse_what_cannot_be() -> None:
    about = {"patch": "fastv", "keep": 0.5, "positions": "kept", "layer": 2}
    assert make_patch("fastv").describe() == FastV().describe() == about
    assert make_patch("pyramiddrop").describe() == {"patch": "pyramiddrop", "keep": 0.5, "positions": "renumbered"}
    patch: Dropping = make_patch("dart", positions="renumbered")  # type: ignore[assignment]
    assert patch.renumbers
    own = made("qwen3_vl")
    for message, make in {
        "FastV: layer is 0, expected a whole number of at least 1": lambda: FastV(layer=0),
        "FastV: layer is 2, expected 0 to 1": lambda: FastV()(own.model),
        "positions is 'moved', expected one of kept, renumbered": lambda: make_patch("pyramiddrop", positions="moved"),
        "on: patch snapkv drops no tokens, expected one that": lambda: OnTop(Hybrid({(0, 1)}), SnapKV()),
        "on: patch dart takes no heads": lambda: OnTop(make_patch("dart"), FastV()),
        "ablate (mode vision) goes by tokens' positions, which fastv changes": lambda: OnTop(Ablate({(0, 1)}), FastV()),
        "FastV: layer is 3, expected 0 to 1": lambda: OnTop(Hybrid({(0, 1)}), FastV(layer=3)).check(own.model),
        "parameter 'layer' is not known": lambda: make_patch("pyramiddrop", layer=3),
    }.items():
        with pytest.raises(UserError) as error:
            make()
        assert message in str(error.value)
    top = OnTop(Hybrid({(0, 1)}), FastV(layer=1))
    assert top.describe() == {**Hybrid({(0, 1)}).describe(), "on": FastV(layer=1).describe()}
    assert top.tokens_left(2, 5, 8) == FastV(layer=1).tokens_left(2, 5, 8) == [13, 9]
    assert top.ceiling() == OnTop(Hybrid({(0, 1)}, local=False), FastV(layer=1))
    with FastV(layer=1)(own.model), pytest.raises(UserError, match="fastv goes by tokens' positions, which pyramid"):
        PyramidDrop()(own.model).__enter__()
