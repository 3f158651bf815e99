"""What SnapKV and AdaKV keep, against the same in loops; how many; and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from eviction_cases import inputs, net
from eviction_oracle import adakv, pooled_scores, snapkv, states_of
from family_cases import FAMILIES, adapter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.patches.adakv import AdaKV
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.snapkv import SnapKV
from coreheads.errors import UserError


def step_of(query: torch.Tensor, key: torch.Tensor, window: int) -> Step:
    """Of full attention; query [H, n, D], key [Hkv, n, D]."""
    groups = (Group(tuple(range(query.shape[0])), ()),)
    return Step(0, 0, query[None, :, -window:], key[None], key[None], 0.3, groups, None)


def kept(patch: SnapKV, query: torch.Tensor, key: torch.Tensor) -> list[list[int]]:
    found = patch.kept_keys(step_of(query, key, patch.window))
    assert found is not None
    return [tokens.tolist() for tokens in found]


def random_states(heads: int, repeats: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    query = torch.randn(heads * repeats, length, 4, generator=made, dtype=torch.float64)
    # heads whose attention is of different width, as AdaKV is made for
    sharp = 2.0 ** torch.arange(heads * repeats)[:, None, None]
    return query * sharp, torch.randn(heads, length, 4, generator=made, dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(
    heads=st.integers(1, 3),
    repeats=st.integers(1, 2),
    length=st.integers(2, 24),
    keep=st.floats(0.05, 0.95),
    window=st.integers(1, 9),
    kernel=st.sampled_from([1, 3, 5, 7]),
    pooling=st.sampled_from(["avg", "max"]),
    alpha=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_the_choice_is_the_definition(
    heads: int,
    repeats: int,
    length: int,
    keep: float,
    window: int,
    kernel: int,
    pooling: Any,
    alpha: float,
    seed: int,
) -> None:
    query, key = random_states(heads, repeats, length, seed)
    count = max(1, round(keep * length))
    if count == length:
        assert SnapKV(keep, window).kept_keys(step_of(query, key, window)) is None
        return
    near = min(window, count)
    scores = pooled_scores(query.numpy(), key.numpy(), 0.3, window, near, kernel, pooling)
    snap = kept(SnapKV(keep, window, kernel, pooling), query, key)
    ada = kept(AdaKV(keep, window, kernel, pooling, alpha), query, key)
    for head, wanted in enumerate(snapkv(scores, length, count, near)):
        assert len(snap[head]) == count
        assert of_best([snap[head]], [scores[head]]) == pytest.approx(of_best([wanted], [scores[head]]), abs=1e-12)
    assert sum(map(len, ada)) == heads * count
    wanted_ada = adakv(scores, length, count, near, alpha)
    assert of_best(ada, scores) == pytest.approx(of_best(wanted_ada, scores), abs=1e-12)
    assert all(len(own) >= near + int(alpha * (count - near)) for own in ada)
    assert all(own == sorted(set(own)) and own[-near:] == list(range(length - near, length)) for own in (*snap, *ada))
    if alpha == 1:
        assert ada == snap


def of_best(kept: list[list[int]], scores: list[list[float]]) -> list[float]:
    """The scores of what was kept for its score: of equal keys, up to rounding, either may be."""
    return sorted(own[place] for own, places in zip(scores, kept, strict=True) for place in places if place < len(own))


@pytest.mark.parametrize("patch", [SnapKV(0.5, 3, 1), AdaKV(0.5, 3, 1)], ids=["snapkv", "adakv"])
def test_of_equal_scores_the_earlier_stay(patch: SnapKV) -> None:
    alike = torch.zeros(4, 16, 4, dtype=torch.float64)
    assert kept(patch, alike, alike[:1])[0] == [0, 1, 2, 3, 4, 13, 14, 15]
    many = kept(SnapKV(0.5, 3, 1), alike, alike[:2])
    assert many[0] == many[1] == [0, 1, 2, 3, 4, 13, 14, 15]


@pytest.mark.parametrize("patch", [SnapKV(0.4, 4, 3), AdaKV(0.4, 4, 3)], ids=["snapkv", "adakv"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_on_a_model_it_keeps_what_the_definition_keeps(model_type: str, patch: SnapKV) -> None:
    model, batch = net(model_type), inputs(model_type, 1)
    tokens = batch["input_ids"].shape[1]
    count = max(1, round(0.4 * tokens))
    wanted = []
    for query, key, scaling in states_of(model, batch):
        scores = pooled_scores(query, key, scaling, 4, 4, 3, "avg")
        chosen = snapkv(scores, tokens, count, 4) if patch.name == "snapkv" else adakv(scores, tokens, count, 4, 0.2)
        wanted.append(chosen)
    cache = None
    with patch(model), torch.inference_mode():
        output = model(**batch, use_cache=True)
        cache = output.get("past_key_values") if output.get("cache", None) is None else output["cache"]
    found = []
    for layer in cache.layers:
        own: dict[int, list[int]] = {}
        for block in layer.blocks:
            own |= {head: places.tolist() for (_, head), places in zip(block.pairs, block.positions, strict=True)}
        found.append([own[head] for head in range(4)])
    assert found == wanted
    lengths = {len(tokens) for layer in found for tokens in layer}
    assert (len(lengths) > 1) is (patch.name == "adakv")


def test_the_budget_is_met() -> None:
    model = adapter("qwen3_vl").model
    for tokens in (1, 2, 7, 100, 4096):
        for keep in (0.5, 0.25, 0.1, 1.0):
            query, key = random_states(2, 1, min(tokens, 100), 0)
            ratio = SnapKV(keep).kv_ratio(model, tokens)
            assert ratio == max(1, round(keep * tokens)) / tokens
            assert abs(ratio - keep) <= 0.5 / tokens or ratio == 1 / tokens
            if tokens <= 100 and ratio < 1:
                for patch in (SnapKV(keep), AdaKV(keep)):
                    assert np.mean([len(own) for own in kept(patch, query, key)]) / tokens == ratio


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SnapKV(keep=0), "SnapKV: keep is 0, expected a number above 0 and up to 1"),
        (lambda: SnapKV(keep=1.5), "keep is 1.5"),
        (lambda: SnapKV(keep=float("nan")), "keep is nan"),
        (lambda: SnapKV(keep=True), "keep is True"),
        (lambda: SnapKV(window=0), "window is 0, expected a whole number of at least 1"),
        (lambda: SnapKV(kernel=4), "kernel is 4, expected an odd number"),
        (lambda: SnapKV(kernel=0), "kernel is 0"),
        (lambda: SnapKV(pooling="mean"), "pooling is 'mean', expected one of avg, max"),  # type: ignore[arg-type]
        (lambda: AdaKV(keep=2), "AdaKV: keep is 2"),
        (lambda: AdaKV(alpha=1.1), "AdaKV: alpha is 1.1, expected a number from 0 to 1"),
        (lambda: AdaKV(alpha="all"), "alpha is 'all'"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_end_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(UserError, match="expected") as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
