"""Patches by name, what they say of themselves, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
import torch
from patches_oracle import tiny_model

from coreheads import Ablate, Hybrid, UserError
from coreheads.adapters.patches import registry
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.registry import PATCHES, make_patch, patch_class, patch_kinds

HEADS = {(0, 1), (1, 2)}


def test_every_kind_is_made_and_describes_itself() -> None:
    assert patch_kinds()[:3] == ("none", "ablate", "hybrid")
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
        (lambda: make_patch("hybrid", HEADS, heads=HEADS), "parameter 'heads' is not known"),
        (lambda: make_patch("none", share=0.5), "patch none: parameter 'share' is not known, expected none"),
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


@dataclasses.dataclass(frozen=True)
class Foreign(Patch):
    """Another package's."""

    name: ClassVar[str] = "foreign"

    share: float
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Renamed(Foreign):
    name: ClassVar[str] = "renamed"


NOT_ONE = 3


def test_what_a_patch_says_of_itself_fits_its_class() -> None:
    for kind, patch in PATCHES.items():
        known = [field.name for field in dataclasses.fields(patch)]  # type: ignore[arg-type]
        assert patch.name == kind
        assert patch.takes_heads == ("heads" in known)
        assert patch.budget in (None, "fraction") if patch.takes_heads else patch.budget in (None, *known)


def test_patches_of_other_packages_are_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    def point(name: str, value: str) -> EntryPoint:
        return EntryPoint(name, f"{__name__}:{value}" if value.isidentifier() else value, registry.GROUP)

    points = [point("foreign", "Foreign"), point("hybrid", "Foreign"), point("other", "Renamed")]
    points += [point("absent", "no.such.module:X"), point("thing", "NOT_ONE"), point("bare", "Patch")]
    monkeypatch.setattr(EntryPoint, "load", _load)
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])
    assert patch_kinds() == (*PATCHES, "absent", "bare", "foreign", "other", "thing")
    assert make_patch("foreign", HEADS, share=0.5) == Foreign(0.5)
    assert patch_class("hybrid") is Hybrid
    for kind, message in {
        "absent": "cannot be loaded (ModuleNotFoundError: No module named 'no')",
        "bare": "is no patch, expected a dataclass derived from Patch whose name is 'bare'",
        "other": "is no patch",
        "thing": "is no patch",
        "foreing": "is not known, expected one of none, ablate, hybrid",
    }.items():
        with pytest.raises(UserError) as error:
            patch_class(kind)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="patch foreign: parameter 'share' is missing"):
        make_patch("foreign", seed=3)


def _load(point: EntryPoint) -> Any:
    """As an installed package's would; this module is not one."""
    module, _, name = point.value.partition(":")
    if module == __name__:
        return globals()[name]
    return __import__(module)
