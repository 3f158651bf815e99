"""Gradient scores against finite differences of the gates, and integrated gradients' completeness."""

from __future__ import annotations

import pytest
import torch
from family_cases import FAMILIES, MOE
from patches_oracle import state
from score_cases import ANSWER, asked, mixed_prompt, step_by_step

from coreheads import Ablate, UserError
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.gates import OutputGates
from coreheads.retrieval.gradients import integrated_gradients, taylor
from coreheads.retrieval.teacher_forcing import Forced


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_the_answer_is_read_as_if_it_were_written(model_type: str) -> None:
    made, prompt = mixed_prompt(model_type)
    with torch.inference_mode():
        found = float(Forced(made, prompt, ANSWER).log_probability())
    assert found == pytest.approx(step_by_step(made, prompt, ANSWER), abs=1e-4)


def test_a_control_token_in_an_answer_is_text() -> None:
    made, prompt = asked("qwen3_vl")
    forced = Forced(made, prompt, "red <|im_end|>")
    assert (
        made.processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
        not in forced.inputs["input_ids"][0, prompt.tokens :].tolist()
    )
    assert forced.tokens == prompt.tokens + len(forced.rows)


@torch.inference_mode()
def gated(model_type: str, gates: torch.Tensor) -> float:
    made, prompt = asked(model_type)
    with attached(made.model, OutputGates(gates)):
        return float(Forced(made, prompt, ANSWER).log_probability())


@pytest.mark.parametrize("model_type", FAMILIES)
def test_taylor_is_the_slope_of_each_gate(model_type: str) -> None:
    made, prompt = asked(model_type)
    found = taylor(made, prompt, answer=ANSWER)
    assert found.dtype == torch.float32
    assert found.shape == (2, 8)
    width, slopes = 0.02, torch.zeros(2, 8)
    for layer in range(2):
        for head in range(8):
            above, below = torch.ones(2, 8), torch.ones(2, 8)
            above[layer, head] += width
            below[layer, head] -= width
            slopes[layer, head] = (gated(model_type, above) - gated(model_type, below)) / (2 * width)
    torch.testing.assert_close(found, slopes.abs(), atol=2e-3, rtol=2e-2)
    assert float(slopes.std()) > 1e-2


@pytest.mark.parametrize("model_type", FAMILIES)
def test_integrated_gradients_add_up_to_what_the_heads_do(model_type: str) -> None:
    made, prompt = asked(model_type)
    wanted = gated(model_type, torch.ones(2, 8)) - gated(model_type, torch.zeros(2, 8))
    errors = [abs(float(integrated_gradients(made, prompt, answer=ANSWER, steps=n).sum()) - wanted) for n in (1, 8, 64)]
    assert errors[2] < 0.02 * abs(wanted) + 1e-3
    assert errors[2] < errors[0]


def test_gates_of_zero_are_zeroed_heads() -> None:
    made, prompt = asked("qwen3_vl")
    gates = torch.ones(2, 8)
    gates[0, 3] = gates[1, 6] = 0
    with torch.inference_mode(), Ablate([(0, 3), (1, 6)], mode="zero")(made.model):
        zeroed = float(Forced(made, prompt, ANSWER).log_probability())
    assert gated("qwen3_vl", gates) == pytest.approx(zeroed, abs=1e-5)


def test_active_patches_stay_in_force() -> None:
    made, prompt = asked("qwen3_vl")
    with Ablate([(1, 2)], mode="zero")(made.model):
        found = taylor(made, prompt, answer=ANSWER)
    assert float(found[1, 2]) == 0
    assert (found > 0).sum() == 15


@pytest.mark.parametrize("function", [taylor, integrated_gradients])
def test_the_model_is_left_as_it_was(function: object) -> None:
    made, prompt = asked("qwen3_vl")
    weights = {name: value.clone() for name, value in made.model.state_dict().items()}
    frozen = made.model.lm_head.weight
    frozen.requires_grad_(False)
    before, asking = state(made.model), [p.requires_grad for p in made.model.parameters()]
    try:
        function(made, prompt, answer=ANSWER)  # type: ignore[operator]
        assert state(made.model) == before
        assert [p.requires_grad for p in made.model.parameters()] == asking
        assert not frozen.requires_grad
    finally:
        frozen.requires_grad_(True)
    assert all(p.grad is None for p in made.model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in made.model.state_dict().items())


@pytest.mark.parametrize("answer", [None, ""])
def test_without_an_answer(answer: str | None) -> None:
    made, prompt = asked("qwen3_vl")
    with pytest.raises(UserError, match=f"answer is {answer!r}, expected a text with at least one token"):
        taylor(made, prompt, answer=answer)


def test_without_a_step() -> None:
    made, prompt = asked("qwen3_vl")
    with pytest.raises(UserError, match="integrated_gradients: steps is 0, expected a whole number of at least 1"):
        integrated_gradients(made, prompt, answer=ANSWER, steps=0)
