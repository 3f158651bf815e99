"""Model arguments of lmms-eval that say how much a patch leaves, and what it is put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_run
import torch
from PIL import Image

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.lmms_eval.arguments import Solved
from coreheads.adapters.lmms_eval.model import CoreHeads
from coreheads.adapters.patches.budget import TOLERANCE, cost, runs_of
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    from coreheads.adapters.checkpoints.adapter import load_adapter

    torch.set_num_threads(1)
    return load_adapter(str(small_run.save_model(tmp_path_factory.mktemp("model"))))


def heads(adapter: Adapter, path: Path, first: int = 0) -> str:
    mean = [[1.0 / (1 + (head - first) % adapter.heads + layer) for head in range(adapter.heads)] for layer in range(2)]
    profile = HeadProfile(model=adapter.describe(), mean=mean, ci_low=mean, ci_high=mean)  # type: ignore[arg-type]
    return str(profile.save(path))


def test_a_budget_is_solved_for_every_prompt(adapter: Adapter) -> None:
    patch = CoreHeads.create_from_arg_string("patch=dart,budget=0.5", {"adapter": adapter}).patch
    for side in (64, 128):
        content = [{"type": "image", "url": Image.new("RGB", (side, side))}, {"type": "text", "text": "what is it?"}]
        prompt = adapter.prepare([{"role": "user", "content": content}])
        own, vision = patch.for_prompt(adapter.model, prompt), prompt.vision_tokens
        spent = cost(own, adapter.model, prompt.tokens - len(vision), runs_of(vision))
        assert spent == pytest.approx(0.5, abs=TOLERANCE)
    text = adapter.prepare([{"role": "user", "content": [{"type": "text", "text": "what is it?"}]}])
    with pytest.raises(UserError, match=r"budget=0\.5: dart comes no nearer"):
        patch.for_prompt(adapter.model, text)


def test_a_budget_of_heads_goes_by_their_order(adapter: Adapter, tmp_path: Path) -> None:
    made = [
        CoreHeads(adapter=adapter, patch="hybrid", window=8, budget=0.9, heads=heads(adapter, tmp_path / "h.json", n))
        for n in (0, 0, 1)
    ]
    about = [model.patch.describe() for model in made]
    assert isinstance(made[0].patch, Solved)
    assert about[0] == about[1] != about[2]


def test_a_patch_on_top_of_another(adapter: Adapter, tmp_path: Path) -> None:
    arguments = f"patch=hybrid,heads={heads(adapter, tmp_path / 'h.json')},fraction=0.25,window=8,on=cdpruner:keep=0.5"
    about = CoreHeads.create_from_arg_string(arguments, {"adapter": adapter}).patch.describe()
    assert about["patch"] == "hybrid"
    assert about["window"] == 8
    assert about["on"]["patch"] == "cdpruner"
    assert about["on"]["keep"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"budget": 0.5}, "patch is none but budget"),
        ({"patch": "dart", "budget": 2}, "budget is 2, expected above 0"),
        ({"patch": "dart", "budget": "half"}, "budget is 'half'"),
        ({"patch": "dart", "budget": 0.5, "keep": 0.5}, "params.keep is given"),
        ({"patch": "document", "budget": 0.5}, "no parameter that budgets"),
        ({"patch": "hybrid", "budget": 0.5}, "needs heads"),
        ({"patch": "hybrid", "selection": "all", "budget": 0.5}, "selections of a size"),
        ({"patch": "hybrid", "selection": "random", "fraction": 0.5, "budget": 0.5}, "fractions are both given"),
        ({"patch": "hybrid", "selection": "random", "on": "dart", "budget": 0.5}, "budget and on are both given"),
        ({"patch": "dart", "on": "cdpruner"}, "dart takes no heads"),
        ({"patch": "hybrid", "selection": "none", "on": "streaming"}, "streaming drops no tokens"),
        ({"patch": "hybrid", "selection": "none", "on": "cdpruner:kept=1"}, "'kept' is not known"),
        ({"patch": "hybrid", "selection": "none", "on": "keep=1"}, "as on=cdpruner:keep=0.5"),
    ],
)
def test_what_does_not_go_together_is_one_clear_line(
    adapter: Adapter, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        CoreHeads(adapter=adapter, **arguments)
    assert len(str(caught.value).splitlines()) == 1
