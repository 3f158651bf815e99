"""Greedy generation: the same tokens as transformers' own, however prompts are batched or share their beginning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import (
    image_part,
    mixed,
    picture,
    small_adapter,
    text_part,
    user,
    video,
    video_part,
)
from transformers import DynamicCache

from coreheads.adapters.generation.batching import plan
from coreheads.adapters.generation.generate import Generation
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.registry import make_patch
from coreheads.adapters.prompt.prompt import Prompt

NEW = 8


def assorted() -> list[Prompt]:
    """Prompts of very different length and media, one of plain text."""
    prepare = small_adapter().prepare
    return [
        prepare(mixed()),
        prepare([{"role": "user", "content": "what is the answer?"}]),
        prepare(user(image_part(picture(64, 48)), text_part("where is the red-star?"))),
        prepare(user(video_part(video(5, 64, 48)), text_part("when and where is the blue-bar?"))),
        prepare(user(image_part(picture(64, 48, 3)), text_part("where is the blue-ring? page"))),
    ]


def questions(count: int = 5, longer: bool = True) -> list[Prompt]:
    """Prompts on the same pages and video; the texts after them differ, in length too."""
    pages = [part for n in range(3) for part in (text_part(f"#{n}"), image_part(picture(64, 64, n)))]
    pages.append(video_part(video(4, 32, 32)))
    names = ["red-star", "blue-bar", "green-ring", "cyan-cross", "white-circle"]
    made: list[Prompt] = []
    for number in range(count):
        text = f"which page has the {names[number % 5]}?" + " 1 2 3" * (number % 3 if longer else 0)
        made.append(small_adapter().prepare(user(*pages, text_part(text)), like=made[-1] if made else None))
    return made


def ids(generations: list[Generation]) -> list[list[int]]:
    return [generation.token_ids for generation in generations]


def one_by_one(prompts: list[Prompt], new: int = NEW) -> list[list[int]]:
    return [ids(small_adapter().generate([prompt], max_new_tokens=new))[0] for prompt in prompts]


def reference(prompt: Prompt, new: int = NEW) -> list[int]:
    model = small_adapter().model
    written = model.generate(**prompt.inputs, max_new_tokens=new, do_sample=False)
    tokens: list[int] = written[0, prompt.tokens :].tolist()
    return tokens


def test_the_tokens_are_those_of_transformers_generate() -> None:
    prompts = [*assorted(), *questions(3)]
    expected = [reference(prompt) for prompt in prompts]
    # the comparisons of this file mean something only when answers depend on what is asked and shown
    assert len({tuple(tokens) for tokens in expected}) == len(prompts)
    assert one_by_one(prompts) == expected


def test_left_padded_batches_give_what_single_prompts_give() -> None:
    prompts = assorted()
    found = small_adapter().generate(prompts, max_new_tokens=NEW, batch_tokens=10**6)
    assert ids(found) == one_by_one(prompts)
    assert [generation.prompt_tokens for generation in found] == [prompt.tokens for prompt in prompts]


def test_prompts_of_about_one_length_run_together() -> None:
    prompts = assorted()
    rows = [batch.rows for group in plan(prompts, 10**6, False) for batch in group]
    assert sorted(row for batch in rows for row in batch) == list(range(5))
    assert any({2, 4} <= set(batch) for batch in rows)
    assert all(len(batch) == 1 for batch in [b.rows for group in plan(prompts, 1, False) for b in group])


def test_forced_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest and the shortest prompt in one batch."""
    monkeypatch.setattr("coreheads.adapters.generation.batching.FILL", 0.0)
    prompts = assorted()
    assert len(plan(prompts, 10**6, False)) == 1
    assert ids(small_adapter().generate(prompts, max_new_tokens=NEW, batch_tokens=10**6)) == one_by_one(prompts)


@pytest.mark.parametrize("budget", [1, 400, 10**6])
def test_sharing_the_prefix_changes_no_token(budget: int) -> None:
    prompts = [*assorted()[:2], *questions()]
    expected = one_by_one(prompts)
    found = small_adapter().generate(prompts, max_new_tokens=NEW, share_prefix=True, batch_tokens=budget)
    assert ids(found) == expected


PATCHES = [
    Hybrid(frozenset({(0, 1), (1, 2)}), 2, 9),
    Ablate(frozenset({(0, 1), (1, 2)}), "zero"),
    Ablate(frozenset({(0, 1), (1, 2)}), "mean"),
    Ablate(frozenset({(0, 0), (0, 1), (1, 2)}), "vision"),
    make_patch("none"),
]


@pytest.mark.parametrize("patch", PATCHES, ids=["hybrid", "zero", "mean", "vision", "none"])
@pytest.mark.parametrize("budget", [1, 10**6])
def test_sharing_and_padding_under_a_patch(patch: Any, budget: int) -> None:
    adapter = small_adapter()
    prompts = [*questions(4), *assorted()[:4]]
    with patch(adapter.model):
        expected = [reference(prompt) for prompt in prompts]
        shared = adapter.generate(prompts, max_new_tokens=NEW, share_prefix=True, batch_tokens=budget)
        plain = adapter.generate(prompts, max_new_tokens=NEW, batch_tokens=budget)
    assert ids(shared) == expected
    assert ids(plain) == expected


def test_the_prefix_is_computed_once() -> None:
    adapter = small_adapter()
    prompts = questions(4, longer=False)
    calls: list[int] = []
    seen: list[int] = []
    hooks = [
        adapter.model.model.visual.register_forward_hook(lambda *_: calls.append(1)),
        adapter.model.model.language_model.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
        ),
    ]
    try:
        adapter.generate(prompts, max_new_tokens=1, share_prefix=True, batch_tokens=1)
    finally:
        for hook in hooks:
            hook.remove()
    # pictures and video once each; the pages once, and of every prompt only what differs
    assert len(calls) == 2
    assert seen[0] > prompts[0].tokens - 20
    assert all(length < 20 for length in seen[1:])
    assert len(seen) == 5


def test_what_may_not_be_shared_is_not() -> None:
    def prefixes(prompts: list[Prompt]) -> list[int]:
        return [batch.prefix for group in plan(prompts, 10**6, True) for batch in group]

    prepare = small_adapter().prepare
    one, same, other = (
        prepare(user(image_part(picture(48, 48, seed)), text_part(f"where is the {name}?")))
        for seed, name in ((0, "red-star"), (0, "blue-bar"), (1, "blue-bar"))
    )
    # two pictures of the same pixels are the same, wherever they come from
    assert prefixes([one, same]) == [int(one.vision_tokens[-1]) + 5]
    assert prefixes([one, other]) == [0]
    assert prefixes([one]) == [0]
    assert prefixes([one, one]) == [one.tokens - 1]
    late = prepare(user(text_part("where is the red-star?"), image_part(picture(48, 48))))
    later = prepare(user(text_part("where is the blue-bar?"), image_part(picture(48, 48))))
    assert prefixes([late, later]) == [0]


def test_a_cache_of_the_callers() -> None:
    adapter = small_adapter()
    prompts = [*questions(3), *assorted()]
    expected = one_by_one(prompts)
    made: list[DynamicCache] = []

    def factory() -> DynamicCache:
        made.append(DynamicCache())
        return made[-1]

    found = adapter.generate(prompts, max_new_tokens=NEW, share_prefix=True, cache_factory=factory)
    assert ids(found) == expected
    assert made
    patch = Hybrid(frozenset({(0, 1), (1, 2)}), 2, 9)
    with patch(adapter.model):
        expected = [reference(prompt) for prompt in prompts]
        found = adapter.generate(prompts, max_new_tokens=NEW, cache_factory=lambda: patch.cache(adapter.model))
    assert ids(found) == expected


def test_answers_longer_than_the_caches_first_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coreheads.adapters.generation.generate.ANSWER_ROOM", 2)
    prompts = questions(3)
    adapter = small_adapter()
    for share in (False, True):
        assert ids(adapter.generate(prompts, max_new_tokens=40, share_prefix=share)) == [
            reference(prompt, 40) for prompt in prompts
        ]


def test_interleaved_conversations_keep_their_own_positions() -> None:
    first, second = assorted()[0], assorted()[3]
    expected = one_by_one([first, second])
    adapter = small_adapter()
    reference(second)
    assert one_by_one([first]) == expected[:1]
    with torch.no_grad():
        adapter.model(**first.inputs)
    assert one_by_one([second]) == expected[1:]


def test_timings() -> None:
    prompts = questions(2)
    found = small_adapter().generate(prompts, max_new_tokens=5, timing=True, share_prefix=True)
    assert ids(found) == one_by_one(prompts, 5)
    for generation, prompt in zip(found, prompts, strict=True):
        times = generation.timings
        assert times is not None
        assert times["preprocess_s"] == prompt.preprocess_s
        assert times["decode_tokens"] == len(generation.token_ids) - 1
        for phase in ("vision_s", "prefill_s", "decode_s"):
            seconds = times[phase]
            assert seconds is not None
            assert seconds > 0
    assert small_adapter().model.model.visual._forward_hooks == {}
    plain = small_adapter().generate(assorted()[1:2], max_new_tokens=1, timing=True)[0].timings
    assert plain is not None
    assert plain["vision_s"] == 0
    assert plain["decode_tokens"] == 0
