"""DuoAttention's gates: what they mix, that they are learned, and that the model is left as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from family_cases import FAMILIES, MOE
from patches_oracle import state
from score_cases import ANSWER, asked, mixed_prompt

from coreheads import Ablate, Hybrid, UserError
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.gates import WindowGates
from coreheads.retrieval.duo import duo, learn_gates
from coreheads.retrieval.teacher_forcing import Forced

SETTINGS: dict[str, Any] = {"rate": 0.02, "penalty": 0.05, "sink": 2, "window": 8}


@torch.inference_mode()
def logits(made: Any, forced: Forced) -> torch.Tensor:
    output: torch.Tensor = made.model(**forced.inputs, use_cache=False).logits
    return output


def both(model_type: str) -> tuple[Any, list[Any]]:
    made, first = asked(model_type)
    return made, [first, mixed_prompt(model_type)[1]]


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_gates_of_one_are_dense_and_of_zero_local(model_type: str) -> None:
    made, prompt = asked(model_type)
    forced = Forced(made, prompt, ANSWER)
    dense = logits(made, forced)
    with attached(made.model, WindowGates(torch.ones(2, 4), 2, 8)):
        torch.testing.assert_close(logits(made, forced), dense, atol=1e-4, rtol=1e-4)
    with attached(made.model, WindowGates(torch.zeros(2, 4), 2, 8)):
        found = logits(made, forced)
    with Hybrid(frozenset(), sink=2, window=8)(made.model):
        local = logits(made, forced)
    torch.testing.assert_close(found, local, atol=1e-4, rtol=1e-4)
    assert float((local - dense).abs().max()) > 1e-2


def test_a_gate_is_of_the_query_heads_of_its_kv_head() -> None:
    made, prompt = asked("qwen3_vl")
    forced = Forced(made, prompt, ANSWER)
    gates = torch.zeros(2, 4)
    gates[0, 1] = gates[1, 3] = 1
    with attached(made.model, WindowGates(gates, 2, 8)):
        found = logits(made, forced)
    with Hybrid(frozenset({(0, 2), (0, 3), (1, 6), (1, 7)}), sink=2, window=8)(made.model):
        wanted = logits(made, forced)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_other_patches_hold_for_both_parts() -> None:
    made, prompt = asked("qwen3_vl")
    forced = Forced(made, prompt, ANSWER)
    hidden = Ablate([(0, 1), (1, 5)])
    with hidden(made.model), Hybrid(frozenset(), sink=2, window=8)(made.model):
        wanted = logits(made, forced)
    with hidden(made.model), attached(made.model, WindowGates(torch.zeros(2, 4), 2, 8)):
        torch.testing.assert_close(logits(made, forced), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_gates_are_learned(model_type: str) -> None:
    made, prompts = both(model_type)
    gates, losses = learn_gates(made, prompts, [ANSWER, "blue"], steps=20, **SETTINGS)
    assert gates.shape == (2, 4)
    assert not gates.requires_grad
    assert len(losses) == 20
    assert losses[0] == pytest.approx(0.05), "at gates 1 the model is itself, and only the penalty is left"
    assert 0 <= float(gates.min()) < float(gates.max()) <= 1
    # without a penalty there is nothing to gain, with a large one everything is given up
    free, _ = learn_gates(made, prompts, [ANSWER, "blue"], steps=5, **{**SETTINGS, "penalty": 0.0})
    assert float(free.min()) > 0.99
    dear, falling = learn_gates(made, prompts, [ANSWER, "blue"], steps=20, **{**SETTINGS, "penalty": 1e4, "rate": 0.1})
    assert float(dear.max()) == 0
    assert falling[-1] < falling[0]


def test_the_distillation_falls_from_a_bad_start(monkeypatch: pytest.MonkeyPatch) -> None:
    made, prompts = both("qwen3_vl")
    monkeypatch.setattr(torch, "ones", lambda *shape, **more: torch.full(shape, 0.2, **more))
    settings = {**SETTINGS, "penalty": 0.0, "rate": 0.05}
    gates, losses = learn_gates(made, prompts[:1], [ANSWER], steps=30, **settings)
    assert losses[-1] < 0.5 * losses[0]
    assert float(gates.mean()) > 0.2


def test_the_score_is_by_query_head() -> None:
    made, prompts = both("internvl")
    gates, _ = learn_gates(made, prompts, [ANSWER, "blue"], steps=6, **SETTINGS)
    found = duo(made, prompts, [ANSWER, "blue"], steps=6, sink=2, window=8)
    assert found.dtype == torch.float32
    assert torch.equal(found, gates.repeat_interleave(2, 1))
    assert torch.equal(found, duo(made, prompts, [ANSWER, "blue"], steps=6, sink=2, window=8))


def test_the_model_is_left_as_it_was() -> None:
    made, prompts = both("qwen3_vl")
    weights = {name: value.clone() for name, value in made.model.state_dict().items()}
    before, asking = state(made.model), [p.requires_grad for p in made.model.parameters()]
    duo(made, prompts, [ANSWER, "blue"], steps=3, sink=2, window=8)
    with pytest.raises(UserError, match="answer is None"):
        duo(made, prompts, [ANSWER, None], steps=3, sink=2, window=8)
    assert state(made.model) == before
    assert [p.requires_grad for p in made.model.parameters()] == asking
    assert all(p.grad is None for p in made.model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in made.model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "duo: steps is 0, expected a whole number of at least 1"),
        ({"rate": 0}, "duo: rate is 0, expected a number above 0"),
        ({"penalty": -1}, "duo: penalty is -1, expected a number of at least 0"),
        ({"sink": -1}, "duo: sink is -1, expected a whole number of at least 0"),
        ({"window": 9999}, "duo: sink + window is 10003, expected less than the longest prompt's"),
    ],
)
def test_bad_values(changes: dict[str, Any], message: str) -> None:
    made, prompts = both("qwen3_vl")
    with pytest.raises(UserError) as error:
        duo(made, prompts, [ANSWER, "blue"], **changes)
    assert str(error.value).startswith(message)


def test_as_many_answers_as_prompts() -> None:
    made, prompts = both("qwen3_vl")
    for some in ([], prompts):
        with pytest.raises(UserError, match=f"duo: {len(some)} prompts and 1 answers, expected as many, not 0"):
            duo(made, some, [ANSWER])
