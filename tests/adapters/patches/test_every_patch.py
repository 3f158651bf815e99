"""Every registered patch against what its kind promises, none of them named: a new one is under these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import mixed
from block_cases import literal
from dropping_cases import ALL, Given, close, inputs, made, moved
from eviction_cases import LAYERS, MORE, REPEATS, decoded, extended, near, net
from eviction_cases import inputs as rows_of
from eviction_oracle import rule_of
from family_cases import FAMILIES, MOE
from patches_oracle import logits, oracle
from torch import Tensor
from transformers import DynamicCache

from coreheads.adapters.generation.structure import language_model, reading
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.drop_vision import Dropping
from coreheads.adapters.patches.registry import PATCHES, make_patch
from coreheads.errors import UserError

HEADS = {(0, 1), (1, 2)}
SMALL = {"keep": 0.3, "window": 4, "block": 4, "observers": 4, "threshold": 0.5, "stride": 2}
"""For prompts of a few hundred tokens, of the fields that a patch has."""


def of_kind(flag: str) -> list[str]:
    return [name for name, patch in PATCHES.items() if getattr(make_patch(name, HEADS), flag)]


def small(name: str, **more: Any) -> Any:
    own = {field.name for field in fields(PATCHES[name])}  # type: ignore[arg-type]
    return make_patch(name, HEADS, **{field: value for field, value in {**SMALL, **more}.items() if field in own})


def places(name: str, layers: int) -> Iterator[Any]:
    """The patch with its cut before each layer where it can be."""
    if "layer" not in {field.name for field in fields(PATCHES[name])}:  # type: ignore[arg-type]
        yield small(name)
        return
    for layer in range(layers):
        try:
            yield small(name, layer=layer)
        except UserError as error:
            assert "layer is 0" in str(error)  # noqa: PT017  (reads the layer before)


@contextmanager
def noted(patch: Any, method: str) -> Iterator[list[tuple[Any, Any]]]:
    """What a method of the patch's class was given and gave."""
    found: list[tuple[Any, Any]] = []
    owner, plain = type(patch), getattr(type(patch), method)
    before = vars(owner).get(method)

    def note(own: Any, given: Any) -> Any:
        found.append((given, plain(own, given)))
        return found[-1][1]

    setattr(owner, method, note)
    try:
        yield found
    finally:
        delattr(owner, method) if before is None else setattr(owner, method, before)


@contextmanager
def read(model: Any, layer: int, at: Tensor, states: Tensor) -> Iterator[None]:
    """What the layer reads at these places."""

    def put(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0].clone()
        hidden[0, at] = states
        return hidden, *args[1:]

    hook = language_model(model).layers[layer].register_forward_pre_hook(put)  # type: ignore[index, union-attr]
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("name", of_kind("drops"))
@pytest.mark.parametrize("kind", ALL)
def test_dropping_is_hiding_keys_from_the_cut_on(kind: str, name: str) -> None:
    own, batch = made(kind), inputs(kind)
    prompt = own.prepare(mixed())
    text, vision = prompt.tokens - len(prompt.vision_tokens), len(prompt.vision_tokens)
    patches = list(places(name, own.layers))
    assert patches
    with reading(own.model, [prompt]):
        dense = logits(own.model, batch)
    for patch in patches:
        with reading(own.model, [prompt]), noted(patch, "stay") as calls, patch(own.model):
            found = logits(own.model, batch)
        kept: dict[int, list[int]] = {}
        with ExitStack() as reference:
            for cut, given in calls:
                stay, states = given if isinstance(given, tuple) else (given, None)
                if stay is not None:
                    kept[cut.layer] = cut.places[stay].tolist()
                    if states is not None:
                        reference.enter_context(read(own.model, cut.layer, cut.places[stay], states))
            assert kept
            counts = [len(kept[max(cuts)]) if (cuts := [c for c in kept if c <= n]) else prompt.tokens
                      for n in range(own.layers)]  # fmt: skip
            asked = patch.tokens_left(own.layers, text, vision)
            if isinstance(patch, Dropping):  # what is new in a video stays, say
                bound = text + max(
                    patch.least(cut.frames) if patch.by_frames else 1 for cut, given in calls if given is not None
                )
                asked = [max(count, bound) if count < prompt.tokens else count for count in asked]
            assert counts == asked

            def allowed(at: int, head: int, i: Any, j: Any, _v: Any, kept: dict[int, list[int]] = kept) -> Any:
                left = [ends for cut, ends in kept.items() if cut <= at]
                return np.isin(j, left[-1]) | (i == j) if left else np.ones((len(i), j.shape[1]), bool)

            reference.enter_context(oracle(own.model, allowed))
            reference.enter_context(moved(kind, Given(kept)) if patch.renumbers else nullcontext())
            expected = logits(own.model, batch)[:, kept[max(kept)]]
        close(kind, found, expected)
        assert float((found[:, -1] - dense[:, -1]).abs().max()) > 1e-4


@pytest.mark.parametrize("name", of_kind("sparse"))
@pytest.mark.parametrize("kind", FAMILIES)
def test_chosen_keys_are_masked_rows(kind: str, name: str) -> None:
    model, batch, patch = net(kind), rows_of(kind, 0), small(name)
    with noted(patch, "blocks") as calls, patch(model):
        found = logits(model, batch)
    chosen = {step.layer: blocks for step, blocks in calls}

    def allowed(at: int, head: int, i: Any, _j: Any, _v: Any) -> Any:
        return literal(chosen[at], head, len(i))

    assert all(blocks is not None for blocks in chosen.values())
    with oracle(model, allowed):
        torch.testing.assert_close(found, logits(model, batch), **near(kind))
    assert float((found - logits(model, batch)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", of_kind("evicts"))
@pytest.mark.parametrize("kind", [*FAMILIES, MOE])
def test_eviction_is_masked_decoding(kind: str, name: str) -> None:
    model, batch, patch = net(kind), rows_of(kind, 0), small(name)
    tokens = batch["input_ids"].shape[1]
    with noted(patch, "kept_keys") as calls, patch(model):
        found = decoded(model, batch, MORE[:1], DynamicCache())
    kept = [[own.tolist() for own in given] for _, given in calls]
    assert len(kept) == LAYERS
    with oracle(model, rule_of(kept, tokens, REPEATS)):
        wanted = logits(model, extended(batch, MORE[:1]))[:, tokens:]
    torch.testing.assert_close(found, wanted, **near(kind))
    held = sum(len(own) for layer in kept for own in layer) / (tokens * sum(map(len, kept)))
    assert held == pytest.approx(patch.kv_ratio(model, tokens))


@pytest.mark.parametrize("name", of_kind("single"))
@pytest.mark.parametrize("kind", ALL)
def test_keeping_all_is_the_model_to_the_bit(kind: str, name: str) -> None:
    if "keep" not in {field.name for field in fields(PATCHES[name])}:  # type: ignore[arg-type]
        pytest.skip("keeps by another measure")
    own, batch = made(kind), inputs(kind)
    prompt = own.prepare(mixed())
    # chosen keys are by our kernels, which are another rounding than the model's own
    plain = Patch() if small(name).sparse else make_patch("none")
    with plain(own.model):
        dense = logits(own.model, batch)
    for patch in places(name, own.layers):
        with reading(own.model, [prompt]), type(patch)(**{**vars(patch), "keep": 1.0})(own.model):
            assert torch.equal(logits(own.model, batch), dense)


@pytest.mark.parametrize("name", PATCHES)
def test_a_share_that_cannot_be_is_one_line(name: str) -> None:
    own = {field.name: field for field in fields(PATCHES[name])}  # type: ignore[arg-type]
    if "keep" not in own:
        pytest.skip("keeps by another measure")
    for wrong in (0, -0.1, 1.01, True, "0.5", None, float("nan"), float("inf")):
        with pytest.raises(UserError) as error:
            make_patch(name, HEADS, keep=wrong)
        assert f"keep is {wrong!r}" in str(error.value)
        assert "\n" not in str(error.value)
