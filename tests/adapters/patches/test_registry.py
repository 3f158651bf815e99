"""Patches by name, what they say of themselves, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from patches_oracle import tiny_model

from coreheads import Ablate, Hybrid, UserError
from coreheads.adapters.patches.registry import make_patch, patch_kinds

HEADS = {(0, 1), (1, 2)}


def test_every_kind_is_made_and_describes_itself() -> None:
    assert patch_kinds() == ("none", "ablate", "hybrid")
    assert make_patch("hybrid", HEADS, sink=2, window=5) == Hybrid(HEADS, sink=2, window=5)
    assert make_patch("ablate", [[0, 1], [1, 2]], mode="vision") == Ablate(HEADS, "vision")
    for kind in patch_kinds():
        patch = make_patch(kind, HEADS)
        assert patch.name == kind
        about = patch.describe()
        assert json.loads(json.dumps(about)) == about
        assert about["patch"] == kind
        with pytest.raises(dataclasses.FrozenInstanceError):
            patch.sink = 3  # type: ignore[attr-defined]


def test_none_is_the_model_itself() -> None:
    model = tiny_model()
    with make_patch("none")(model) as inside:
        assert inside is model
        assert model.model.language_model.config._attn_implementation != "coreheads"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_patch("prune", HEADS), "patch 'prune' is not known, expected one of none, ablate, hybrid"),
        (lambda: make_patch("hybrid", HEADS, windw=5), "parameter 'windw' is not known, expected one of sink, window"),
        (lambda: Ablate(set()), "heads is empty"),
        (lambda: Ablate(HEADS, "half"), "mode is 'half', expected one of zero, mean, vision"),  # type: ignore[arg-type]
        (lambda: Ablate(HEADS, "vision", "some"), "scope is 'some'"),  # type: ignore[arg-type]
        (lambda: Ablate(HEADS, means=torch.zeros(1)), "expected mode 'mean'"),
        (lambda: Ablate({(0, -1)}), "head (0, -1), expected a (layer, head) pair"),
        (lambda: Ablate([(0,)]), "head (0,), expected a (layer, head) pair"),  # type: ignore[arg-type]
        (lambda: Ablate([3]), "expected (layer, head) pairs"),  # type: ignore[arg-type]
        (lambda: Ablate(None), "expected (layer, head) pairs"),  # type: ignore[arg-type]
        (lambda: Hybrid(HEADS, sink=-1), "sink is -1, expected a whole number of at least 0"),
        (lambda: Hybrid(HEADS, window=0), "window is 0, expected a whole number of at least 1"),
        (lambda: Hybrid(HEADS, window=2.5), "window is 2.5"),  # type: ignore[arg-type]
        (lambda: Hybrid({(2, 0)})(tiny_model()), "head L2H0 is not in Qwen3VLForConditionalGeneration"),
        (lambda: Ablate({(1, 8)})(tiny_model()), "expected layers 0 to 1 and heads 0 to 7"),
        (lambda: Ablate(HEADS, "mean", means=torch.zeros(2, 8, 3))(tiny_model()), "expected (2, 8, 32)"),
        (lambda: Hybrid({(9, 9)}).kv_ratio(tiny_model(), 10), "head L9H9 is not in"),
        (lambda: Hybrid(HEADS).kv_ratio(tiny_model(), 0), "tokens is 0"),
        (lambda: Hybrid(HEADS, local=False).cache(tiny_model()), "cache is for local=True"),
    ],
)
def test_wrong_values_give_one_clear_line(make: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_kv_ratio_counts_a_kv_head_once_for_all_its_query_heads() -> None:
    model = tiny_model()  # 2 layers of 4 KV heads, 2 query heads each
    assert Hybrid({(0, 0), (0, 1)}, 2, 8).kv_ratio(model, 100) == pytest.approx((100 + 7 * 10) / 800)
    assert Hybrid({(0, 0), (0, 2)}, 2, 8).kv_ratio(model, 100) == pytest.approx((200 + 6 * 10) / 800)
    assert Hybrid(set(), 2, 8).kv_ratio(model, 5) == 1.0
    assert Hybrid({(0, 0)}, 2, 8, local=False).kv_ratio(model, 100) == pytest.approx(1 / 8)


def test_models_without_a_text_decoder_are_refused() -> None:
    with pytest.raises(TypeError, match="not a supported multimodal model"):
        Hybrid(HEADS)(torch.nn.Linear(2, 2))
