"""Drawing tokens: the right shares, the same draws from the same seed, greedy by default."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from family_cases import adapter

from coreheads.adapters.generation.sampling import Sampler
from coreheads.errors import UserError


def test_greedy_is_the_largest() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, -1.0, 4.0]])
    assert Sampler().pick(logits).tolist() == [1, 0]


def test_draws_follow_the_softmax() -> None:
    weights = torch.tensor([0.6, 0.3, 0.1])
    drawn = Sampler(temperature=1.0, seed=1).pick(weights.log().repeat(20000, 1))
    shares = torch.bincount(drawn, minlength=3) / 20000
    torch.testing.assert_close(shares, weights, atol=0.015, rtol=0)
    sharper = Sampler(temperature=0.5, seed=1).pick(weights.log().repeat(20000, 1))
    squared = weights**2 / (weights**2).sum()
    torch.testing.assert_close(torch.bincount(sharper, minlength=3) / 20000, squared, atol=0.015, rtol=0)
    # the likeliest two hold 0.9
    assert set(Sampler(temperature=1.0, top_p=0.85, seed=1).pick(weights.log().repeat(5000, 1)).tolist()) == {0, 1}


def test_answers() -> None:
    made = adapter("internvl")
    prompt = made.prepare(user(image_part(picture(60, 40)), text_part("where ?")))
    greedy = made.generate([prompt], max_new_tokens=8)[0].token_ids
    drawn = [made.generate([prompt], max_new_tokens=8, temperature=1.5, seed=seed)[0].token_ids for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert greedy != drawn[0]
    assert made.generate([prompt], max_new_tokens=8, temperature=1e-4)[0].token_ids == greedy


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -1}, "temperature: -1, expected a number of at least 0"),
        ({"temperature": float("nan")}, "temperature: nan"),
        ({"temperature": True}, "temperature: True"),
        ({"top_p": 0}, "top_p: 0, expected a number above 0 and up to 1"),
        ({"top_p": 1.5}, "top_p: 1.5"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Sampler(**settings)
