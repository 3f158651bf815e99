"""One model over several devices answers and measures what it does on one, and never mixes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from devices import PLACEMENTS, split
from split_cases import Run, cases, plain, prompts
from torch import Tensor

CASES = cases()
QWEN = "qwen3_vl"


@cache
def split_over(model_type: str, how: str) -> Any:
    return split(plain(model_type), how)


@cache
def expected(model_type: str, name: str) -> Any:
    made = plain(model_type)
    return CASES[name](made, prompts(made))


def same(one: Any, other: Any) -> bool:
    return torch.equal(one, other.cpu()) if isinstance(one, Tensor) else one == other


@pytest.mark.parametrize("how", PLACEMENTS)
@pytest.mark.parametrize("name", CASES)
def test_a_split_model_is_the_model(name: str, how: str) -> None:
    made = split_over(QWEN, how)
    run: Run = CASES[name]
    assert same(expected(QWEN, name), run(made, prompts(made)))
