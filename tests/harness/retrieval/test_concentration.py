"""Concentration against its definition on eager attention's own matrices, and where it is known."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from adapter_cases import eager, image_part, picture, small_adapter, text_part, user
from family_cases import FAMILIES, MOE, adapter

from coreheads import UserError
from coreheads.retrieval.head_scores import SCORES

SHOWN = [image_part(picture(130, 90)), text_part("and"), image_part(picture(90, 61, 1))]
ASKED = text_part("where is the red-star ?")


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_it_is_its_definition(model_type: str) -> None:
    made = adapter(model_type)
    prompt = made.prepare(user(*SHOWN, ASKED), query="red-star")
    found = SCORES["concentration"].load()(made, prompt, [])
    matrices = eager(made.model, dict(prompt.inputs))
    rows, columns = prompt.query_tokens.tolist(), prompt.vision_tokens.tolist()
    assert found.dtype == torch.float32
    assert found.shape == (made.layers, made.heads)
    for layer in range(made.layers):
        for head in range(made.heads):
            seen = [sum(float(matrices[layer, head, row, key]) for row in rows) / len(rows) for key in columns]
            entropy = -sum(value / sum(seen) * math.log(value / sum(seen)) for value in seen if value > 0)
            wanted = 1 - math.exp(entropy) / len(columns)
            assert float(found[layer, head]) == pytest.approx(wanted, abs=2e-5)


def test_a_reader_of_all_alike_has_none() -> None:
    made = copy.deepcopy(small_adapter())
    for layer in made.model.model.language_model.layers:
        torch.nn.init.zeros_(layer.self_attn.q_proj.weight)
        if layer.self_attn.q_proj.bias is not None:
            torch.nn.init.zeros_(layer.self_attn.q_proj.bias)
    prompt = made.prepare(user(*SHOWN, ASKED), query="red-star")
    assert float(SCORES["concentration"].load()(made, prompt, []).abs().max()) < 1e-6


def test_what_cannot_be_measured_gives_one_clear_line() -> None:
    made, score = small_adapter(), SCORES["concentration"].load()
    with pytest.raises(UserError, match="score concentration: the prompt has no query tokens"):
        score(made, made.prepare(user(*SHOWN, ASKED)), [])
    with pytest.raises(UserError, match="score concentration: the prompt has no vision tokens"):
        score(made, made.prepare(user(ASKED), query="red-star"), [])
