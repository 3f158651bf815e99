"""Ablation scores against runs of the patch itself, and the regression against what was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family_cases import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import oracle, state, vision_rule
from score_cases import ANSWER, asked, mixed_prompt, step_by_step

from coreheads import Ablate, UserError
from coreheads.retrieval.ablation import head_attribution, regression, single_ablation
from coreheads.retrieval.teacher_forcing import Forced


@pytest.mark.parametrize("model_type", FAMILIES)
def test_single_ablation_is_the_patch_alone(model_type: str) -> None:
    made, prompt = mixed_prompt(model_type)
    found = single_ablation(made, prompt, answer=ANSWER)
    assert found.dtype == torch.float32
    assert found.shape == (2, 8)
    whole = step_by_step(made, prompt, ANSWER)
    for head in ((0, 0), (0, 5), (1, 3)):
        with Ablate([head])(made.model):
            alone = step_by_step(made, prompt, ANSWER)
        assert float(found[head]) == pytest.approx(whole - alone, abs=2e-4)
    assert float(found.std()) > 1e-4


@torch.inference_mode()
def test_single_ablation_hides_the_picture_from_text() -> None:
    made, prompt = asked("qwen3_vl")
    forced = Forced(made, prompt, ANSWER)
    vision = torch.isin(forced.inputs["input_ids"], torch.tensor(made.vision_token_ids))
    found = single_ablation(made, prompt, answer=ANSWER)
    for head in ((0, 1), (1, 6)):
        with oracle(made.model, vision_rule({head}, "text"), vision):
            hidden = float(forced.log_probability())
        whole = float(forced.log_probability())
        assert float(found[head]) == pytest.approx(whole - hidden, abs=1e-4)


def test_single_ablation_by_zeroing() -> None:
    made, prompt = asked("qwen3_vl")
    found = single_ablation(made, prompt, answer=ANSWER, mode="zero")
    with Ablate([(1, 4)], mode="zero")(made.model):
        alone = step_by_step(made, prompt, ANSWER)
    assert float(found[1, 4]) == pytest.approx(step_by_step(made, prompt, ANSWER) - alone, abs=2e-4)
    assert float((found - single_ablation(made, prompt, answer=ANSWER)).abs().max()) > 1e-3


@settings(max_examples=25)
@given(st.integers(2, 20), st.integers(2, 20), st.floats(0.01, 2.0), st.integers(0, 99))
def test_the_regression_minimises_what_it_says(sets: int, heads: int, ridge: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present, values = rng.random((sets, heads)) >= 0.3, rng.normal(size=sets)
    # the penalty as further rows of a plain least-squares problem, the intercept a column without one
    penalty = np.sqrt(ridge * sets) * np.eye(heads)
    rows = np.block([[present.astype(float), np.ones((sets, 1))], [penalty, np.zeros((heads, 1))]])
    wanted = np.linalg.lstsq(rows, np.concatenate([values, np.zeros(heads)]), rcond=None)[0][:heads]
    found = regression(torch.from_numpy(present), torch.from_numpy(values), ridge)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-8)


def planted(monkeypatch: pytest.MonkeyPatch, worth: torch.Tensor) -> list[frozenset[tuple[int, int]]]:
    """log p is the sum of what the heads that see are worth; gives the sets of those that do not."""
    sets: list[frozenset[tuple[int, int]]] = []

    def answered(adapter: object, forced: object, heads: list[tuple[int, int]], mode: str) -> float:
        assert mode == "vision"
        sets.append(frozenset(heads))
        return float(worth.sum() - sum(worth[head] for head in heads))

    monkeypatch.setattr("coreheads.retrieval.ablation._without", answered)
    return sets


def test_head_attribution_recovers_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    made, prompt = asked("internvl")
    worth = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    sets = planted(monkeypatch, worth)
    found = head_attribution(made, prompt, answer=ANSWER, masks=200, ridge=1e-9)
    torch.testing.assert_close(found, worth, atol=1e-4, rtol=0)
    assert len(sets) == 200
    hidden = sum(len(heads) for heads in sets) / (200 * 16)
    assert 0.22 < hidden < 0.28
    # fewer sets than heads: what matters most still stands out
    worth = torch.zeros(2, 8)
    worth[1, 5] = 3.0
    planted(monkeypatch, worth)
    few = head_attribution(made, prompt, answer=ANSWER, masks=12, share=0.5)
    assert int(few.argmax()) == 13


def test_sets_differ_by_seed_and_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    made, prompt = asked("internvl")
    _, other = mixed_prompt("internvl")
    sets = planted(monkeypatch, torch.zeros(2, 8))
    for asked_prompt, seed in ((prompt, 0), (prompt, 0), (prompt, 1), (other, 0)):
        head_attribution(made, asked_prompt, answer=ANSWER, masks=9, seed=seed)
    first, again, seeded, elsewhere = (sets[start : start + 9] for start in range(0, 36, 9))
    assert first == again
    assert len({tuple(first), tuple(seeded), tuple(elsewhere)}) == 3


def test_heads_that_stand_in_for_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made, prompt = asked("internvl")
    pair = {(0, 3), (1, 6)}

    def answered(adapter: object, forced: object, heads: list[tuple[int, int]], mode: str) -> float:
        return -2.0 if pair <= set(heads) else -0.1

    monkeypatch.setattr("coreheads.retrieval.ablation._without", answered)
    assert float(single_ablation(made, prompt, answer=ANSWER).abs().max()) == 0
    found = head_attribution(made, prompt, answer=ANSWER)
    assert set(found.flatten().topk(2).indices.tolist()) == {3, 8 + 6}


def test_the_model_is_left_as_it_was() -> None:
    made, prompt = asked("qwen3_vl")
    before = state(made.model)
    single_ablation(made, prompt, answer=ANSWER)
    head_attribution(made, prompt, answer=ANSWER, masks=2, share=0.01)
    assert state(made.model) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": None}, "answer is None, expected a text with at least one token"),
        ({"masks": 1}, "head_attribution: masks is 1, expected a whole number of at least 2"),
        ({"seed": -1}, "head_attribution: seed is -1, expected a whole number of at least 0"),
        ({"share": 1.0}, "head_attribution: share is 1.0, expected a number above 0 and below 1"),
        ({"ridge": 0}, "head_attribution: ridge is 0, expected a number above 0"),
    ],
)
def test_bad_values(changes: dict[str, object], message: str) -> None:
    made, prompt = asked("qwen3_vl")
    with pytest.raises(UserError) as error:
        head_attribution(made, prompt, **{"answer": ANSWER, **changes})  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_a_mode_that_is_none() -> None:
    made, prompt = asked("qwen3_vl")
    with pytest.raises(UserError, match="mode is 'blind'"):
        single_ablation(made, prompt, answer=ANSWER, mode="blind")  # type: ignore[arg-type]
