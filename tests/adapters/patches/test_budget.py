"""Budgets: what patches say they cost, against published figures, loops and counts; and the solver."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from family_cases import new_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from coreheads.adapters.patches import budget
from coreheads.adapters.patches.budget import Budgeted, Cannot, cost, runs_of
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.ratios import Ratios
from coreheads.adapters.patches.registry import PATCHES, make_patch
from coreheads.errors import UserError
from coreheads.heads import selections

SHAPES = {
    "Qwen3-VL-8B": Shape(36, 4096, 32, 8, 128, (12288,) * 36),
    "Qwen3-VL-30B-A3B": Shape(48, 2048, 32, 4, 128, (8 * 768,) * 48, (128,) * 48),
    "tiny": Shape(6, 192, 16, 8, 32, (384,) * 6),
}
MODEL: Any = None
"""Costs of FLOPs depend on the shape alone."""
QWEN = SHAPES["Qwen3-VL-8B"]
VISION = 0.97
DROPPING = sorted(kind for kind, patch in PATCHES.items() if patch.budget == "keep" and patch.budget_of == "flops")


def split(tokens: int) -> tuple[int, tuple[int]]:
    vision = round(VISION * tokens)
    return tokens - vision, (vision,)


def top(shape: Shape, fraction: float) -> Any:
    count = selections.head_count(fraction, shape.layers * shape.heads)
    return frozenset(divmod(number, shape.heads) for number in range(count))


@pytest.mark.parametrize(
    ("tokens", "hybrid", "fastv", "quarter"),
    [
        (4096, (0.96, 0.51), (0.52, 0.31), 0.26),
        (16384, (0.79, 0.18), (0.48, 0.31), 0.22),
        (65536, (0.47, 0.08), (0.40, 0.31), 0.16),
        (131072, (0.31, 0.07), (0.37, 0.31), 0.13),
    ],
)
def test_costs_of_an_8b_model(
    tokens: int, hybrid: tuple[float, float], fastv: tuple[float, float], quarter: float
) -> None:
    """Computed apart from this code, for hybrid with the top 5 % full, half of the tokens dropped before layer 2, and
    three quarters before layer 0."""
    patches = (
        (Hybrid(top(QWEN, 0.05), 128, 1024), hybrid),
        (make_patch("stride", keep=0.5, layer=2), fastv),
    )
    for patch, (work, pairs) in patches:
        assert cost(patch, MODEL, *split(tokens), shape=QWEN) == pytest.approx(work, abs=0.0051)
        text, (vision,) = split(tokens)
        own = patch.pairs(QWEN, text, vision)
        assert own is not None
        assert own / QWEN.dense_pairs(tokens) == pytest.approx(pairs, abs=0.0051)
    assert cost(make_patch("stride", keep=0.25), MODEL, *split(tokens), shape=QWEN) == pytest.approx(
        quarter, abs=0.0051
    )


@given(
    sink=st.integers(0, 9),
    window=st.integers(1, 30),
    chosen=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 7))),
    tokens=st.integers(1, 50),
    granularity=st.sampled_from(["query", "kv"]),
)
def test_pairs_of_hybrid_attention(sink: int, window: int, chosen: Any, tokens: int, granularity: Any) -> None:
    shape = Shape(3, 64, 8, 4, 8, (64,) * 3)
    patch = Hybrid(chosen, sink, window, granularity=granularity)
    full = {(layer, kv) for layer, head in chosen for kv in (head // 2 * 2, head // 2 * 2 + 1)}
    expected = 0
    for layer in range(3):
        for head in range(8):
            whole = (layer, head) in (chosen if granularity == "query" else full)
            expected += sum(whole or j < sink or i - j < window for i in range(tokens) for j in range(i + 1))
    assert patch.pairs(shape, 1, tokens - 1) == expected


def budgeted(monkeypatch: pytest.MonkeyPatch, shape: Shape, kind: str, share: float, **params: Any) -> Budgeted:
    monkeypatch.setattr(budget.Shape, "of", lambda _model: shape)
    monkeypatch.setattr(budget, "head_shape", lambda _model: (shape.layers, shape.heads, shape.kv_heads))
    heads = (lambda fraction: top(shape, fraction)) if PATCHES[kind].takes_heads else None
    return Budgeted(kind, share, params, heads)


@pytest.mark.parametrize("kind", [*DROPPING, "hybrid", "streaming", "snapkv", "adakv"])
@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SHAPES)),
    tokens=st.integers(300, 60_000),
    vision=st.floats(0.5, 0.99),
    share=st.sampled_from([0.75, 0.5, 0.35, 0.25, 0.15, 0.1]),
)
def test_a_budget_is_met_or_refused(kind: str, name: str, tokens: int, vision: float, share: float) -> None:
    shape, seen = SHAPES[name], round(vision * tokens)
    with pytest.MonkeyPatch.context() as patched:
        asked = budgeted(patched, shape, kind, share)
        try:
            patch = asked.solved(MODEL, tokens - seen, (seen,))
        except Cannot:
            patch = asked.turned(1 / budget.STEPS)  # the least
            least = cost(patch, MODEL, tokens - seen, (seen,), shape=shape)
            assert least is not None
            assert least > share  # it does not go so far down
            return
        spent = cost(patch, MODEL, tokens - seen, (seen,), shape=shape)
        assert spent is not None
        step = 1 / (shape.layers * shape.heads) if kind == "hybrid" else 1 / seen
        assert abs(spent - share) <= 0.02 * share + 0.5 * step  # or as near as one head or token comes


def test_what_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    hybrid = budgeted(monkeypatch, QWEN, "hybrid", 0.5, sink=128, window=1024)
    words = "comes no nearer than 0.7[0-9]+ to 0.5 of the dense prefill's FLOPs on a prompt of 492 text and 15,892"
    with pytest.raises(Cannot, match=words):
        hybrid.solved(MODEL, *split(16384))
    few = budgeted(monkeypatch, QWEN, "stride", 0.25)
    with pytest.raises(Cannot, match="stride comes no nearer than"):
        few.solved(MODEL, 500, (200, 300))
    assert 0.24 < (cost(few.solved(MODEL, 100, (900,)), MODEL, 100, (900,), shape=QWEN) or 0) < 0.26
    assert hybrid.solved(MODEL, *split(131072)) is hybrid.solved(MODEL, *split(131072))


def test_an_unseen_question_is_part_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = budgeted(monkeypatch, QWEN, "snapkv", 0.5, question="unseen")
    assert asked.unseen
    patch: Any = asked.solved(MODEL, 300, (700,), 200)
    assert patch.count(800) + 200 == 500
    with pytest.raises(Cannot):
        asked.solved(MODEL, 600, (400,), 600)
    with pytest.raises(Cannot):
        asked.solved(MODEL, 400, (), 400)


def test_a_budget_needs_something_to_turn() -> None:
    for kind in ("document", "ablate"):
        with pytest.raises(UserError, match=f"patch {kind}: has no parameter to turn"):
            Budgeted(kind, 0.5)
    with pytest.raises(ValueError, match="another patch for every prompt"):
        Budgeted("stride", 0.5)(nn.Module())


class Products(TorchDispatchMode):
    """Adds up the FLOPs of products with a matrix."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.mv, torch.ops.aten.bmm):
            self.flops += 2 * output.numel() * args[0].shape[-1]
        return output


@pytest.mark.parametrize("kind", ["cdpruner", "dart", "random", "stride"])
@settings(max_examples=25, deadline=None)
@given(runs=st.lists(st.integers(1, 12), min_size=1, max_size=4), keep=st.floats(0.02, 1))
def test_choosing_costs_its_products(kind: str, runs: list[int], keep: float) -> None:
    is_vision = torch.tensor([flag for run in runs for flag in [False, False, *[True] * run]] + [False] * 3)
    hidden = torch.randn(len(is_vision), 12, generator=torch.Generator().manual_seed(0))
    cut = Cut(0, hidden, torch.arange(len(hidden)), torch.arange(len(hidden)), is_vision)
    patch = make_patch(kind, keep=keep)
    with Products() as products:
        patch.stay(cut)
    shape = Shape(1, cut.hidden.shape[1], 1, 1, 8, (8,))
    text = len(cut.places) - sum(runs)
    assert patch.choice_flops(shape, text, runs) == products.flops
    assert list(runs_of(cut.vision.nonzero()[:, 0])) == runs


@pytest.mark.parametrize("kind", [*DROPPING, "hybrid", "streaming", "snapkv"])
@pytest.mark.parametrize("share", [0.75, 0.5])
def test_counted_work_is_what_was_solved_for(kind: str, share: float) -> None:
    """Counted while a model reads a prompt: tokens in each layer, pairs given to kernels, products of choosing."""
    made = _adapter()
    content = [{"type": "image", "image": _picture()}, {"type": "text", "text": "where is the red one"}]
    prompt = made.prepare([{"role": "user", "content": content}])
    every = selections.every((made.layers, made.heads))
    heads = (lambda fraction: sorted(every)[: round(fraction * len(every))]) if kind == "hybrid" else None
    params = {"sink": 2, "window": 8} if kind == "hybrid" else {"sink": 2} if kind == "streaming" else {}
    try:
        patch = Budgeted(kind, share, params, heads).for_prompt(made.model, prompt)
    except Cannot:
        # their matrices cost more, the picture is one frame, layer 2 is none of two, the tower is half of this model
        assert kind in ("hybrid", "streaming", "vertical_slash", "evs", "fastv", "visionzip")
        return
    with patch(made.model):
        (answer,) = made.generate([prompt], max_new_tokens=1, count=True)
    counted = Ratios(made.model, patch).of(prompt.tokens, answer.work)
    spent = counted["kv_ratio" if kind == "snapkv" else "flops_ratio"]
    text = prompt.tokens - len(prompt.vision_tokens)
    left = patch.tokens_left(made.layers, text, len(prompt.vision_tokens))
    assert counted["matrix_ratio"] == sum(left) / (made.layers * prompt.tokens)
    said = cost(patch, made.model, text, runs_of(prompt.vision_tokens))
    assert said == pytest.approx(share, abs=0.02)
    # one vertical less than would fit may be chosen
    assert spent == pytest.approx(said, rel=5e-3 if kind == "vertical_slash" else 1e-9)


@cache
def _adapter() -> Any:
    return new_adapter("qwen3_vl")


def _picture() -> Any:
    from PIL import Image

    return Image.new("RGB", (480, 320), "red")
