"""How an answer ends: at the end token, at a stop string, at its longest; on a model that says what it is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import small_adapter

from coreheads.adapters.generation.generate import Generation
from coreheads.errors import UserError


class Scripted:
    """Makes the model say given tokens, whatever it is asked."""

    def __init__(self, *rows: list[int]) -> None:
        self.rows = rows
        self.step = 0

    def __call__(self, module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        said = torch.zeros_like(output)
        for row, tokens in enumerate(self.rows):
            said[row, -1, tokens[min(self.step, len(tokens) - 1)]] = 1
        self.step += 1
        return said


def scripted(*texts: str, end: bool = True, **settings: Any) -> list[Generation]:
    adapter = small_adapter()
    tokenizer = adapter.processor.tokenizer
    rows = [tokenizer(text)["input_ids"] + ([tokenizer.eos_token_id] if end else []) for text in texts]
    prompts = [adapter.prepare([{"role": "user", "content": "where ?"}]) for _ in texts]
    hook = adapter.model.lm_head.register_forward_hook(Scripted(*rows))
    try:
        return adapter.generate(prompts, **settings)
    finally:
        hook.remove()


def test_an_answer_ends_at_the_end_token() -> None:
    short, long = scripted("#7", "(312, 187) (437, 312)")
    assert short.text == "#7"
    assert len(short.token_ids) == 2
    assert long.text == "(312, 187) (437, 312)"
    assert short.timings is None


def test_an_answer_ends_at_a_stop_string() -> None:
    assert scripted("red-star is on page 7 of", stop=["page"])[0].text == "red-star is on"
    # it may begin in one token and end in another
    found = scripted("the answer is xyz and more", stop=["nothing", "yz"], max_new_tokens=50)[0]
    assert found.text == "the answer is x"
    assert len(found.token_ids) == 7  # three words, a blank, three letters
    assert scripted("7, 8", stop=",")[0].text == "7"
    assert scripted("7", stop=["", "9"])[0].text == "7"


def test_max_new_tokens() -> None:
    found = scripted("the answer is 7", end=False, max_new_tokens=2)[0]
    assert found.text == "the answer"
    for wrong in (0, -1, True, 2.5):
        with pytest.raises(UserError, match="max_new_tokens"):
            small_adapter().generate([], max_new_tokens=wrong)  # type: ignore[arg-type]
    assert small_adapter().generate([]) == []
