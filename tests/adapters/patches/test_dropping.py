"""Dropping tokens before a layer is hiding their keys from that layer on, and is reading a prompt without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from dropping_cases import ALL, Given, close, given, inputs, last, made, moved, numbered, seen
from patches_oracle import both, hybrid_rule, logits, oracle, state
from torch import Tensor
from transformers import DynamicCache, StaticCache

from coreheads import Ablate, Hybrid, UserError
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.structure import cache_argument, language_model
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.patches.on_top import OnTop
from coreheads.adapters.prompt.prompt import TEXT_INPUTS

CUTS, LATER = ((0,), (1,), (0, 1)), ((2,), (3,), (1, 3))
STEPS = (1, 2)
MORE = torch.tensor([[41, 57, 101]])
OUTER = {(0, 1), (1, 2)}

every_family = pytest.mark.parametrize("kind", ALL)
either = pytest.mark.parametrize("renumbers", [False, True], ids=["kept", "renumbered"])


@either
@pytest.mark.parametrize(
    ("kind", "cuts"), [*((kind, cuts) for kind in ALL for cuts in CUTS), *(("three", cuts) for cuts in LATER)], ids=str
)
def test_dropping_is_hiding_keys_from_that_layer_on(kind: str, cuts: tuple[int, ...], renumbers: bool) -> None:
    own, batch, patch = made(kind), inputs(kind), given(kind, cuts, renumbers)

    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        kept = [np.array(places) for cut, places in patch.kept.items() if cut <= layer]
        return np.isin(j, kept[-1]) | (i == j) if kept else np.ones((len(i), j.shape[1]), bool)

    with oracle(own.model, allowed), moved(kind, patch) if renumbers else nullcontext():
        expected = logits(own.model, batch)[:, last(patch)]
    plain = logits(own.model, batch)[:, last(patch)]
    with patch(own.model):
        found = logits(own.model, batch)
    close(kind, found, expected)
    assert float((found - plain).abs().max()) > 1e-3


@either
@every_family
def test_before_the_first_layer_it_is_reading_a_prompt_without_them(kind: str, renumbers: bool) -> None:
    own, batch, patch = made(kind), inputs(kind), given(kind, (0,), renumbers)
    decoder: Any = language_model(own.model)
    call: dict[str, Any] = {}
    hook = decoder.register_forward_pre_hook(lambda _m, _a, given: call.update(given), with_kwargs=True)
    logits(own.model, batch)
    hook.remove()
    kept = last(patch)
    call |= {"inputs_embeds": call["inputs_embeds"][:, kept], "position_ids": call["position_ids"][..., kept]}
    if renumbers:
        places = call["position_ids"]
        call["position_ids"] = numbered(places)
        assert places.max() > call["position_ids"].max() == len(set(places.flatten().tolist())) - 1
    if call.get("visual_pos_masks") is not None:
        rows = torch.zeros_like(call["visual_pos_masks"])
        rows[:, kept] = True
        features = [layer[rows[call["visual_pos_masks"]]] for layer in call["deepstack_visual_embeds"]]
        call |= {"visual_pos_masks": call["visual_pos_masks"][:, kept], "deepstack_visual_embeds": features}
    with oracle(own.model, lambda layer, head, i, j, vision: j <= i), torch.inference_mode():
        expected = own.model.lm_head(decoder(**call).last_hidden_state)
    with patch(own.model):
        close(kind, logits(own.model, batch), expected)


@either
@every_family
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_cached_is_uncached(kind: str, cuts: tuple[int, ...], eager: bool, renumbers: bool) -> None:
    own, batch, patch = made(kind), inputs(kind), given(kind, cuts, renumbers)
    longer, length = dict(batch), batch["input_ids"].shape[1]
    for name in TEXT_INPUTS:
        if name in batch:
            longer[name] = torch.cat([batch[name], MORE if name == "input_ids" else torch.zeros_like(MORE)], 1)
    places = batch["position_ids"]
    after = places.amax() + 1 + torch.arange(MORE.shape[1])
    longer["position_ids"] = torch.cat([places, after.expand(*places.shape[:-1], -1)], -1)
    new = list(range(length, length + MORE.shape[1]))
    with _kernel(own, "eager" if eager else "sdpa"):
        with Given({cut: [*kept, *new] for cut, kept in patch.kept.items()}, renumbers)(own.model):
            expected = logits(own.model, longer)[:, -len(new) :]
        with patch(own.model):
            for past in (DynamicCache(), PreallocatedCache(own.layers, length)):
                cached = {cache_argument(own.model): past, "use_cache": True}
                logits(own.model, batch, **cached)
                found, start = [], length
                for tokens in STEPS:
                    part = {name: longer[name][..., start : start + tokens] for name in ("input_ids", "position_ids")}
                    found.append(logits(own.model, part, **cached))
                    start += tokens
                close(kind, torch.cat(found, 1), expected)
                held = [past.get_seq_length(layer) for layer in range(own.layers)]
                left = [length] * cuts[0] + [len(patch.kept[min(n, max(cuts))]) for n in range(cuts[0], own.layers)]
                assert held == [count + len(new) for count in left]


@every_family
def test_keeping_all_is_the_model_itself(kind: str) -> None:
    own, batch = made(kind), inputs(kind)
    prompt = own.prepare(user(image_part(picture(61, 60)), text_part("where is it ?")))
    expected, answer = logits(own.model, batch), own.generate([prompt], 6)[0]
    everything = list(range(batch["input_ids"].shape[1]))
    with Given(dict.fromkeys(range(own.layers), everything))(own.model):
        assert torch.equal(logits(own.model, batch), expected)
        found = own.generate([prompt], 6)[0]
    assert (found.token_ids, found.margin) == (answer.token_ids, answer.margin)


@every_family
def test_prompts_are_asked_one_by_one_and_share_nothing(kind: str) -> None:
    own = made(kind)
    show = image_part(picture(61, 60))
    prompts = [own.prepare(user(show, text_part(text))) for text in ("where is it ?", "where is the star ?", "0 1")]
    for patch in (_Odd(0), _Odd(own.layers - 1)):
        with patch(own.model):
            alone = [own.generate([prompt], 5)[0] for prompt in prompts]
            together = own.generate(prompts, 5, share_prefix=True)
            theirs = [_generate(own, prompt, 5) for prompt in prompts]
        assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]
        for answer, other in zip(alone, theirs, strict=True):
            assert other[: len(answer.token_ids)] == answer.token_ids


@every_family
def test_hybrid_attention_goes_by_the_tokens_that_are_left(kind: str) -> None:
    own, batch, patch = made(kind), inputs(kind), given(kind, (0,))
    hybrid, kept = Hybrid(OUTER, 2, 5), np.array(last(patch))
    rank = np.searchsorted(kept, np.arange(batch["input_ids"].shape[1]))
    rule = hybrid_rule(OUTER, 2, 5)

    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        return rule(layer, head, rank[i], rank[j], vision)

    hidden = lambda layer, head, i, j, vision: np.isin(j, kept) | (i == j)  # noqa: E731
    with oracle(own.model, both(hidden, allowed)):
        expected = logits(own.model, batch)[:, kept]
    for first, second in ((hybrid, patch), (patch, hybrid), (OnTop(hybrid, patch), Patch())):
        with first(own.model), second(own.model):
            close(kind, logits(own.model, batch), expected)
    prompt = own.prepare(mixed())
    with hybrid(own.model), _Odd(1)(own.model):
        plain = own.generate([prompt], 5)[0].token_ids
        assert own.generate([prompt], 5, cache_factory=lambda: hybrid.cache(own.model))[0].token_ids == plain


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", ["qwen3_vl", "internvl"])
def test_leaving_restores_the_model_exactly(kind: str, fails: bool) -> None:
    own, batch = made(kind), inputs(kind)
    before, expected = state(own.model), logits(own.model, batch)
    try:
        with given(kind, (1,))(own.model):
            logits(own.model, batch)
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert state(own.model) == before
    assert torch.equal(logits(own.model, batch), expected)


def test_what_it_cannot_do_is_refused_by_name() -> None:
    own, batch = made("qwen3_vl"), inputs("qwen3_vl")
    model, patch = own.model, given("qwen3_vl", (0,))
    argument = cache_argument(model)
    text = {"input_ids": MORE, "position_ids": batch["position_ids"][..., :3]}
    two = own.collate([own.prepare(mixed()), own.prepare(user(image_part(picture(61, 60)), text_part("where ?")))])
    padded = {**batch, "attention_mask": torch.arange(batch["input_ids"].shape[1])[None] > 2}
    static = StaticCache(config=model.config.text_config, max_cache_len=400)
    with patch(model):
        for message, call in {
            "given takes one prompt at a time": lambda: logits(model, two),
            "without padding": lambda: logits(model, padded),
            "needs a cache that grows": lambda: logits(model, batch, **{argument: static}, use_cache=True),
            "call the model with input_ids": lambda: logits(model, {"inputs_embeds": torch.zeros(1, 3, 64).double()}),
        }.items():
            with pytest.raises(ValueError, match=message):
                call()
        with chunked_prefill(model, 16), pytest.raises(ValueError, match="no chunked prefill"):
            logits(model, batch)
        past = {argument: DynamicCache(), "use_cache": True}
        logits(model, batch, **past)
        with pytest.raises(ValueError, match="its cache holds a part"):
            logits(model, batch, **past)
        with pytest.raises(ValueError, match="call the model with position_ids"):
            logits(model, {"input_ids": MORE}, **past)
        logits(model, text, **past)
    measured = collect_mass(model, torch.tensor([3]), [torch.tensor([3])])
    for outer, inner, who in (
        (patch(model), Ablate({(0, 0)}, "vision")(model), "Ablate"),
        (Ablate({(0, 0)}, "vision")(model), patch(model), "Ablate"),
        (patch(model), patch(model), "given"),
        (patch(model), measured, "AttentionMass"),
    ):
        with outer, pytest.raises(UserError, match=f"{who} goes by tokens' positions, which given changes"), inner:
            pass
    for wrong in (torch.ones(3, dtype=torch.bool), torch.ones(len(seen("qwen3_vl"))), seen("qwen3_vl")):
        with _Says(wrong)(model), pytest.raises(ValueError, match="that keeps all text"):
            logits(model, batch)


@dataclass(frozen=True, eq=False)
class _Says(Given):
    kept: Any

    def stay(self, cut: Cut) -> Tensor | None:
        return self.kept  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Odd(Patch):
    name: ClassVar[str] = "odd"
    drops = True
    layer: int

    def stay(self, cut: Cut) -> Tensor | None:
        return ~cut.vision | (cut.places % 2 == 1) if cut.layer == self.layer else None


@contextmanager
def _kernel(own: Adapter, name: str) -> Iterator[None]:
    config: Any = language_model(own.model).config
    before, config._attn_implementation = config._attn_implementation, name
    try:
        yield
    finally:
        config._attn_implementation = before


def _generate(own: Adapter, prompt: Any, tokens: int) -> list[int]:
    """By transformers' own loop."""
    kinds = {name: value.to(own.dtype) if value.is_floating_point() else value for name, value in prompt.inputs.items()}
    with torch.inference_mode():
        ids = own.model.generate(**kinds, do_sample=False, max_new_tokens=tokens)
    return ids[0, prompt.tokens :].tolist()  # type: ignore[no-any-return]
