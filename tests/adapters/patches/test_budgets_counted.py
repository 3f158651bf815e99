"""Every patch that takes a budget, on the embedded model and data: what is counted is what was asked for, or Cannot."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.patches.budget import Budgeted, Cannot, check_counted
from coreheads.adapters.patches.ratios import Ratios
from coreheads.adapters.patches.registry import PATCHES
from coreheads.heads import selections
from coreheads.tasks import registry

TASKS = ("coreheads_mini_refcocog", "coreheads_mini_vidstg", "coreheads_mini_mmdocir", "coreheads_mini_mlvu")
KINDS = sorted(kind for kind, patch in PATCHES.items() if patch.budget is not None)
OTHERS: dict[str, dict[str, Any]] = {"hybrid": {"sink": 4, "window": 64}, "snapkv": {"question": "unseen"}}
ALL_READ = ("hybrid", "streaming", "vertical_slash")
"""The matrices see all tokens: on prompts as short as these they cannot cost little."""


@cache
def adapter() -> Any:
    return load_adapter("tiny")


@cache
def prompt(name: str) -> Any:
    task = registry.get(name)
    (doc,) = task.records("test", 1, None, family="qwen3_vl", options=None)
    return adapter().prepare(task.messages(doc))


def top(fraction: float) -> Any:
    every = sorted(selections.every((adapter().layers, adapter().heads)))
    return every[: round(fraction * len(every))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.75, 0.35])
def test_what_is_counted_is_the_budget(kind: str, share: float) -> None:
    model, met = adapter().model, 0
    asked = Budgeted(kind, share, OTHERS.get(kind, {}), top if PATCHES[kind].takes_heads else None)
    for name in TASKS:
        try:
            patch = asked.for_prompt(model, prompt(name))
        except Cannot:
            continue
        with patch(model):
            (answer,) = adapter().generate([prompt(name)], max_new_tokens=1, count=True)
        counted = Ratios(model, patch).of(prompt(name).tokens, answer.work)
        spent = counted["kv_ratio" if patch.budget_of == "kv" else "flops_ratio"]
        assert spent == pytest.approx(share, abs=0.02), name  # a head or a token is a large step on short prompts
        met += 1
    assert met or (share < 0.5 and kind in ALL_READ)


def test_first_frames_that_stay_are_part_of_the_cost() -> None:
    words = "evs keeps 128 of 128 vision tokens at least, 1.000 of the dense prefill's FLOPs, expected 0.5"
    with pytest.raises(Cannot, match=words):
        Budgeted("evs", 0.5).for_prompt(adapter().model, prompt(TASKS[0]))
    Budgeted("vidcom2", 0.5).for_prompt(adapter().model, prompt(TASKS[0]))


def test_a_count_that_misses_its_budget_is_no_score() -> None:
    asked = Budgeted("stride", 0.5)
    check_counted(asked, [0.48, 0.53])
    check_counted(asked, [])
    with pytest.raises(Cannot, match=r"stride took 0.525 of the dense prefill's FLOPs as counted, expected 0.5"):
        check_counted(asked, [0.5, 0.55])
