"""What a generation says of itself: how close the first token was, and whether its logits were finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from adapter_cases import image_part, mixed, picture, small_adapter, text_part, user

from coreheads.adapters.prompt.prompt import Prompt


def prompts() -> list[Prompt]:
    prepare = small_adapter().prepare
    plain: list[dict[str, Any]] = [{"role": "user", "content": "what is the answer?"}]
    return [
        prepare(mixed()),
        prepare(plain),
        prepare(user(image_part(picture(64, 48)), text_part("where is the red-star?"))),
    ]


@contextmanager
def broken_logits(call: int, row: int, value: float) -> Iterator[None]:
    """Inside the block, of the ``call``-th logits (from 0) the ``row``-th holds ``value`` once."""
    head, seen = small_adapter().model.lm_head, [0]

    def spoil(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if seen[0] == call:
            output = output.clone()
            output[row, -1, 7] = value
        seen[0] += 1
        return output

    handle = head.register_forward_hook(spoil)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("budget", [1, 10**6])
def test_the_margin_is_that_of_the_first_token(budget: int) -> None:
    found = small_adapter().generate(prompts(), max_new_tokens=3, batch_tokens=budget)
    for prompt, generation in zip(prompts(), found, strict=True):
        logits = small_adapter().model(**prompt.inputs).logits[0, -1]
        first, second = torch.sort(logits.detach(), descending=True).values[:2]
        assert generation.margin == pytest.approx(float(first - second), abs=1e-4)
        assert generation.margin > 0
        assert generation.finite


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("call", [0, 2])
def test_non_finite_logits_are_told_of_their_own_row_only(value: float, call: int) -> None:
    three = [prompts()[0], prompts()[0], prompts()[0]]  # of one length, so that they share a batch
    with broken_logits(call, 1, value):
        found = small_adapter().generate(three, max_new_tokens=4, batch_tokens=10**6)
    assert [generation.finite for generation in found] == [True, False, True]
    with broken_logits(call, 0, value):
        alone = small_adapter().generate(prompts()[:1], max_new_tokens=4)
    assert not alone[0].finite


def test_a_token_that_is_masked_out_is_no_fault() -> None:
    with broken_logits(0, 0, -float("inf")):
        assert small_adapter().generate(prompts()[:1], max_new_tokens=2)[0].finite


def test_what_comes_after_an_answer_ended_does_not_count() -> None:
    with broken_logits(3, 0, float("nan")):
        assert small_adapter().generate(prompts()[:1], max_new_tokens=3)[0].finite
