"""What is counted against what can be worked out: every kind of patch, every family, padded and shared prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from eviction_cases import PROMPTS
from family_cases import FAMILIES, MOE, adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.generation.work import Work, choosing, counting, metered
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.ratios import Ratios
from coreheads.adapters.patches.registry import make_patch

HEADS, KV_HEADS, LAYERS, WIDTH = 8, 4, 2, 16
CHOSEN = {(0, 1), (1, 2), (1, 5)}


def causal(tokens: int) -> int:
    return tokens * (tokens + 1) // 2


def counted(model_type: str, patch: Patch, **options: Any) -> list[tuple[int, Work, dict[str, float]]]:
    """(tokens, counts, ratios) of two prompts, one at a time; the same in a padded batch where the patch takes one."""
    made = adapter(model_type)
    prompts, ratios = [made.prepare(messages) for messages in PROMPTS], Ratios(made.model, patch)
    with patch(made.model):
        found = [made.generate([prompt], 2, count=True, **options)[0] for prompt in prompts]
        together = made.generate(prompts, 2, count=True, batch_tokens=10**6, **options)
    assert [one.work for one in found] == [one.work for one in together]
    assert all(one.work is not None for one in found)
    return [(one.prompt_tokens, one.work, ratios.of(one.prompt_tokens, one.work)) for one in found if one.work]


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_dense_costs_what_it_costs(model_type: str) -> None:
    for patch in (make_patch("none"), Patch()):
        for tokens, work, ratios in counted(model_type, patch):
            assert work.tokens == (tokens,) * LAYERS
            assert work.pairs == LAYERS * HEADS * causal(tokens)
            assert work.choice_flops == 0
            assert ratios == dict.fromkeys(("matrix_ratio", "pairs_ratio", "flops_ratio", "kv_ratio"), 1.0)


def test_the_matrices_of_a_layer_by_hand() -> None:
    shapes = {name: Shape.of(adapter(name).model) for name in ("qwen3_vl", MOE)}
    attention = 64 * HEADS * WIDTH + 2 * 64 * KV_HEADS * WIDTH + HEADS * WIDTH * 64
    assert shapes["qwen3_vl"].token_flops(0) == 2 * (attention + 3 * 64 * 128)
    experts = 2 * 3 * 64 * 48 + 4 * 64  # two of four, and the router
    assert shapes[MOE].token_flops(0) == 2 * (attention + experts)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_hybrid_reads_its_windows_and_its_cache_holds_them(model_type: str) -> None:
    patch = make_patch("hybrid", CHOSEN, sink=2, window=9)
    for tokens, work, ratios in counted(model_type, patch):
        full = len(CHOSEN) * causal(tokens)
        local = (LAYERS * HEADS - len(CHOSEN)) * sum(min(row + 1, 11) for row in range(tokens))
        # blocks of rows share their keys, so that more pairs are computed than are seen, but never as many as twice
        # the window and a block's own rows for every row
        assert full + local <= work.pairs < full + (LAYERS * HEADS - len(CHOSEN)) * tokens * (11 + 2 * 64)
        assert ratios["matrix_ratio"] == 1
        assert ratios["kv_ratio"] == pytest.approx(patch.kv_ratio(adapter(model_type).model, tokens))
    headless = make_patch("hybrid", set(), sink=2, window=9, local=False)
    assert all(work.pairs == 0 for _, work, _ in counted(model_type, headless, cache_factory=DynamicCache))


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
@pytest.mark.parametrize("layer", [0, 1])
def test_dropping_saves_what_no_longer_enters(model_type: str, layer: int) -> None:
    made = adapter(model_type)
    for name in ("random", "cdpruner", "dart"):
        found = counted(model_type, make_patch(name, keep=0.3, layer=layer))
        for (tokens, work, ratios), messages in zip(found, PROMPTS, strict=True):
            vision = len(made.prepare(messages).vision_tokens)
            left = tokens - vision + max(1, round(0.3 * vision))
            lengths = [tokens if number < layer else left for number in range(LAYERS)]
            assert work.tokens == tuple(lengths)
            assert work.pairs == HEADS * sum(map(causal, lengths))
            assert ratios["kv_ratio"] == ratios["matrix_ratio"] == pytest.approx(sum(lengths) / (LAYERS * tokens))
            assert (work.choice_flops > 0) is (name != "random")
            one = Shape.of(made.model).token_flops(0)
            width = language_model(made.model).layers[0].self_attn.head_dim  # type: ignore[index, union-attr]
            whole = LAYERS * (one * tokens + 4 * width * HEADS * causal(tokens))
            own = one * sum(lengths) + 4 * width * work.pairs + work.choice_flops
            assert ratios["flops_ratio"] == pytest.approx(own / whole)


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("name", ["snapkv", "adakv"])
def test_eviction_costs_its_observers_and_frees_its_keys(model_type: str, name: str) -> None:
    patch = make_patch(name, keep=0.25, window=4)
    width = language_model(adapter(model_type).model).layers[0].self_attn.head_dim  # type: ignore[index, union-attr]
    for tokens, work, ratios in counted(model_type, patch):
        assert ratios["pairs_ratio"] == ratios["matrix_ratio"] == 1
        assert work.choice_flops == LAYERS * HEADS * 4 * tokens * 2 * width
        assert ratios["kv_ratio"] == pytest.approx(patch.kv_ratio(adapter(model_type).model, tokens))


def test_an_unseen_question_reads_fewer_keys() -> None:
    made = adapter("qwen3_vl")
    for (tokens, work, ratios), messages in zip(
        counted("qwen3_vl", make_patch("snapkv", keep=0.25, window=4, question="unseen")), PROMPTS, strict=True
    ):
        at = int(made.prepare(messages).vision_tokens[-1]) + 1
        kept, asked = round(0.25 * at), tokens - at
        assert work.pairs == LAYERS * HEADS * (causal(at) + asked * kept + causal(asked))
        assert ratios["kv_ratio"] == pytest.approx((kept + asked) / tokens)


@settings(max_examples=8, deadline=None)
@given(sides=st.lists(st.integers(20, 90), min_size=1, max_size=3), words=st.integers(1, 6), keep=st.floats(0.05, 0.95))
def test_counts_of_a_batch_are_those_of_its_prompts(sides: list[int], words: int, keep: float) -> None:
    made = adapter("qwen3_vl")
    shown = picture(60, 60)
    prompts = [made.prepare(user(image_part(picture(side, 60)), text_part("where " * words))) for side in sides]
    # of one picture: they share their beginning
    prompts += [made.prepare(user(image_part(shown), text_part(text))) for text in ("where ?", "what is it ?")]
    for patch in (make_patch("none"), make_patch("dart", keep=keep), make_patch("document")):
        with patch(made.model):
            alone = [made.generate([prompt], 1, count=True)[0].work for prompt in prompts]
            together = made.generate(prompts, 1, count=True, share_prefix=True, batch_tokens=10**6)
        for one, other in zip(alone, [answer.work for answer in together], strict=True):
            assert one is not None
            assert other is not None
            assert (one.tokens, one.choice_flops, one.kv_bytes) == (other.tokens, other.choice_flops, other.kv_bytes)
            assert other.pairs == pytest.approx(one.pairs, rel=0.2 if patch.name == "document" else 1e-12)


def test_products_are_counted_however_they_are_written() -> None:
    model = adapter("qwen3_vl").model
    a, b, m = torch.randn(3, 4, 5), torch.randn(5), torch.randn(5, 6)
    cases = [
        (lambda: a @ m, 2 * 3 * 4 * 5 * 6),
        (lambda: torch.matmul(b, m), 2 * 5 * 6),
        (lambda: torch.einsum("bij,jk->bik", a, m), 2 * 3 * 4 * 5 * 6),
        (lambda: torch.einsum("...j,jk", a, m), 2 * 3 * 4 * 5 * 6),
        (lambda: torch.nn.functional.linear(a, m.T), 2 * 3 * 4 * 5 * 6),
        (lambda: b.dot(b), 2 * 5),
        (lambda: torch.nn.functional.scaled_dot_product_attention(a, a, a), 4 * 3 * 4 * 4 * 5),
        (lambda: a.softmax(-1).sum(), 0),
    ]
    for number, (product, flops) in enumerate(cases):
        for _ in range(2):  # the second time it is known
            with counting(model, 1) as tally:
                assert tally is not None
                with choosing(0, lambda number=number: ("test", number), torch.device("cpu")):  # type: ignore[misc]
                    product()
                with metered(None), choosing(0, lambda: "not looked at", torch.device("cpu")):
                    product()
            assert tally.flops == [flops]
