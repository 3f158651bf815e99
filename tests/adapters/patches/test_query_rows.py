"""Attention by token for chosen heads, against sums over sets for all heads, which are held against eager attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from family_cases import FAMILIES, MOE, adapter

from coreheads import Hybrid
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.patches.query_rows import collect_rows

ASKED = user(image_part(picture(200, 90)), text_part("where is the red-star ?"), image_part(picture(90, 61, 1)))


def measured(made: Any, heads: list[tuple[int, int]], **inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(by token [heads, V], by one-token sets [V, layers, heads]) of the same forward call."""
    prompt = made.prepare(ASKED, query="red-star")
    singles = [token[None] for token in prompt.vision_tokens]
    with (
        torch.inference_mode(),
        collect_mass(made.model, prompt.query_tokens, singles) as mass,
        collect_rows(made.model, heads, prompt.query_tokens, prompt.vision_tokens) as rows,
    ):
        made.model(**prompt.inputs, use_cache=False, **inputs)
    return rows.result(), mass.result()


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_each_token_has_the_mass_of_its_own_set(model_type: str) -> None:
    made = adapter(model_type)
    last = made.layers - 1, made.heads - 1
    heads = [(0, 1), last, (0, 0), (0, 1)]
    found, wanted = measured(made, heads)
    assert found.shape == (4, len(wanted))
    for row, (layer, head) in zip(found, heads, strict=True):
        torch.testing.assert_close(row, wanted[:, layer, head], atol=1e-6, rtol=0)
    # what is ahead of the query cannot be seen, what is behind it is
    assert found.sum(1).max() > 0
    assert (found[:, -1] == 0).all()


def test_a_windowed_head_sees_its_window_only() -> None:
    made = adapter(FAMILIES[0])
    with Hybrid({(0, 0)}, sink=1, window=2)(made.model):
        found, wanted = measured(made, [(0, 0), (0, 1)])
    torch.testing.assert_close(found, torch.stack([wanted[:, 0, 0], wanted[:, 0, 1]]), atol=1e-6, rtol=0)
    assert found[0].sum() > 0
    assert found[1].sum() == 0


def test_rows_that_were_not_seen_are_an_error() -> None:
    made = adapter(FAMILIES[0])
    prompt = made.prepare(ASKED, query="red-star")
    with collect_rows(made.model, [(0, 0)], prompt.query_tokens, prompt.vision_tokens) as rows:
        pass
    with pytest.raises(ValueError, match="0 of"):
        rows.result()
