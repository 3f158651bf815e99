"""RAM by query rows against eager attention's own matrices, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import positions, prompt, tiny_model, vision_of

from coreheads import Ablate, Hybrid, Region, UserError, retrieval_attention_mass
from coreheads.adapters.patches.mass import collect_mass

TEXTS = ["where is the red-star?", "what digit is by the blue-bar? (A) 3 (B) 7"]


@dataclass
class StandIn:
    """As much of a prompt and its adapter as RAM asks for."""

    model: Any
    inputs: dict[str, Any]
    query_tokens: torch.Tensor
    target: list[int] = field(default_factory=lambda: [5, 6])

    @property
    def vision_tokens(self) -> torch.Tensor:
        return vision_of(self.model, self.inputs)[0].nonzero()[:, 0]

    def locate(self, regions: Sequence[Region]) -> torch.Tensor:
        return torch.tensor(self.target if regions else [], dtype=torch.long)

    def explain(self, regions: Sequence[Region]) -> str:
        return "no region was given"


def stand_in(images: int = 2, kv_heads: int = 4) -> StandIn:
    model = tiny_model(1, kv_heads, torch.float32)
    inputs = prompt(TEXTS[:1], [images])
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    length = inputs["input_ids"].shape[1]
    return StandIn(model, inputs, torch.arange(length - 7, length - 4))


def eager(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """[layers, batch, heads, L, L], from transformers' own eager attention."""
    config = model.model.language_model.config
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with torch.inference_mode():
            return torch.stack(model(**inputs, use_cache=False, output_attentions=True).attentions)
    finally:
        config._attn_implementation = before


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 3),
    st.lists(st.integers(0, 29), min_size=1, unique=True),
    st.lists(st.integers(0, 29), min_size=1, unique=True),
)
def test_ram_is_eager_attention(kv_heads: int, images: int, rows: list[int], target: list[int]) -> None:
    made = stand_in(images, kv_heads)
    length = made.inputs["input_ids"].shape[1]
    made.query_tokens = torch.tensor(sorted({row % length for row in rows}))
    made.target = sorted({column % length for column in target})
    matrices = eager(made.model, made.inputs)[:, 0][:, :, made.query_tokens]
    expected = matrices[..., made.target].sum(-1).mean(-1)
    mass = retrieval_attention_mass(made, made, [Region()])
    assert mass.dtype == torch.float32
    assert mass.shape == (2, 8)
    torch.testing.assert_close(mass, expected, atol=1e-5, rtol=0)
    on_vision = matrices[..., made.vision_tokens].sum(-1).mean(-1)
    normalised = retrieval_attention_mass(made, made, [Region()], normalization="vision")
    seen = on_vision > 1e-2
    torch.testing.assert_close(normalised[seen], (expected / on_vision)[seen], atol=1e-3, rtol=0)
    lift = retrieval_attention_mass(made, made, normalization="lift", target_tokens=torch.tensor(made.target))
    torch.testing.assert_close(lift * len(made.target) / len(made.vision_tokens), expected, atol=1e-5, rtol=0)


def test_no_mass_on_vision_is_zero_not_nan() -> None:
    made = stand_in()
    made.query_tokens, made.target = torch.tensor([0]), [5]
    assert torch.equal(retrieval_attention_mass(made, made, [Region()], "vision"), torch.zeros(2, 8))


def test_the_collector_in_padded_batches_and_chunks() -> None:
    from transformers import DynamicCache

    model = tiny_model(1, dtype=torch.float32)
    inputs = prompt(TEXTS, [1, 2])
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    pads = (inputs["attention_mask"] == 0).sum(1)
    assert int(pads.max()) > 0
    matrices = eager(model, inputs)
    rows, columns = torch.tensor([3, 17, 20, 21]), [torch.tensor([2, 3, 19]), torch.tensor([0])]
    dense = model(**inputs, use_cache=False).logits
    with (
        torch.inference_mode(),
        collect_mass(model, rows, columns) as zero,
        collect_mass(model, rows, columns, 1) as one,
    ):
        during = model(**inputs, use_cache=False).logits
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(during[real], dense[real], atol=1e-4, rtol=0)
    for sample, mass in enumerate((zero, one)):
        start = int(pads[sample])
        for index, tokens in enumerate(columns):
            expected = matrices[:, sample][:, :, rows + start][..., tokens + start].sum(-1).mean(-1)
            torch.testing.assert_close(mass.result()[index], expected, atol=1e-5, rtol=0)

    single = prompt(TEXTS[:1], [1])
    single["pixel_values"] = single["pixel_values"].float()
    ids, cut = single["input_ids"], 20
    with torch.inference_mode(), collect_mass(model, rows, columns) as chunked:
        cache = DynamicCache()
        head = {**single, "input_ids": ids[:, :cut], "mm_token_type_ids": single["mm_token_type_ids"][:, :cut]}
        head["attention_mask"] = single["attention_mask"][:, :cut]
        places = positions(model, single)
        model(**head, position_ids=places[..., :cut], past_key_values=cache)
        with pytest.raises(ValueError, match="2 of 4 rows were seen"):
            chunked.result()
        model(input_ids=ids[:, cut:], position_ids=places[..., cut:], past_key_values=cache)
    torch.testing.assert_close(chunked.result(), zero.result(), atol=1e-5, rtol=0)


def test_ram_under_patches_is_what_their_heads_do() -> None:
    made = stand_in()
    plain = retrieval_attention_mass(made, made, [Region()])
    with Hybrid({(0, 2)}, sink=1, window=2)(made.model):
        windowed = retrieval_attention_mass(made, made, [Region()])
    assert torch.equal(windowed[0].nonzero()[:, 0], torch.tensor([2]))
    torch.testing.assert_close(windowed[0, 2], plain[0, 2], atol=1e-5, rtol=0)
    with Ablate({(0, 3)}, "vision")(made.model):
        blind = retrieval_attention_mass(made, made, [Region()])
    assert blind[0, 3] == 0
    torch.testing.assert_close(blind[0, 4], plain[0, 4], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"query_tokens": torch.empty(0, dtype=torch.long)}, {"regions": [Region()]}, "no query tokens"),
        ({}, {"regions": []}, "touch no vision token of the prompt (no region was given)"),
        ({}, {"target_tokens": torch.empty(0, dtype=torch.long)}, "target_tokens is empty"),
        ({}, {}, "exactly one of the two"),
        ({}, {"regions": [Region()], "target_tokens": torch.tensor([1])}, "exactly one of the two"),
        ({}, {"regions": [Region()], "normalization": "sum"}, "expected None, 'vision' or 'lift'"),
        ({"query_tokens": torch.tensor([99])}, {"regions": [Region()]}, "a query token lies outside the prompt"),
        ({}, {"target_tokens": torch.tensor([-1])}, "a target token lies outside the prompt"),
    ],
)
def test_unusable_inputs_give_one_clear_line(change: dict[str, Any], arguments: dict[str, Any], message: str) -> None:
    made = stand_in()
    for name, value in change.items():
        setattr(made, name, value)
    with pytest.raises(UserError) as error:
        retrieval_attention_mass(made, made, **arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
