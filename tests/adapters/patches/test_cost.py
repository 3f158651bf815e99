"""The arithmetic of costs: against loops, loaded models, and published shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.patches.cost import Shape, dense_flops, flops, window_pairs
from tests.support import family_cases

QWEN3_VL_8B = Shape(36, 4096, 32, 8, 128, (12288,) * 36)


@given(tokens=st.integers(1, 60), sink=st.integers(0, 20), window=st.integers(1, 40))
def test_window_pairs(tokens: int, sink: int, window: int) -> None:
    seen = sum(j < sink or i - j < window for i in range(tokens) for j in range(i + 1))
    assert window_pairs(tokens, sink, window) == seen


@pytest.mark.parametrize("model_type", ["qwen3_vl", "qwen3_vl_moe", "llava_onevision", "internvl"])
def test_a_token_goes_through_every_matrix(model_type: str) -> None:
    model = family_cases.model(model_type)
    shape = Shape.of(model)
    for number, layer in enumerate(language_model(model).layers):  # type: ignore[arg-type, var-annotated]
        linear = [part for part in layer.modules() if isinstance(part, nn.Linear)]
        weights = sum(part.weight.numel() for part in linear)
        if shape.experts[number]:
            # experts, and their router, are stacked parameters and no nn.Linear
            sizes = {name: part for name, part in layer.mlp.named_parameters() if "bias" not in name}
            share = model.config.text_config.num_experts_per_tok / shape.experts[number]
            router = sum(part.numel() for name, part in sizes.items() if "gate." in name)
            weights = sum(part.weight.numel() for part in layer.self_attn.modules() if isinstance(part, nn.Linear))
            weights += router + round(share * sum(part.numel() for name, part in sizes.items() if "gate." not in name))
        assert shape.token_flops(number) == 2 * weights


@pytest.mark.parametrize(("tokens", "share"), [(4096, 0.08), (16384, 0.26), (65536, 0.58), (131072, 0.74)])
def test_share_of_attention_at_published_lengths(tokens: int, share: float) -> None:
    matrices = flops(QWEN3_VL_8B, [tokens] * 36, 0)
    assert 1 - matrices / dense_flops(QWEN3_VL_8B, tokens) == pytest.approx(share, abs=0.005)
