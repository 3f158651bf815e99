"""The known shapes of the published checkpoints."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForImageTextToText

from coreheads.adapters.checkpoints import published
from coreheads.adapters.families.registry import family
from coreheads.adapters.generation.structure import head_shape
from coreheads.errors import UserError

# billions of parameters as the checkpoints' pages and the InternVL3.5 overview state them
SIZES = {
    "Qwen/Qwen3-VL-4B-Instruct": 4.44,
    "Qwen/Qwen3-VL-8B-Instruct": 8.77,
    "Qwen/Qwen3-VL-32B-Instruct": 33.36,
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": 0.89,
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": 8.03,
    "OpenGVLab/InternVL3_5-1B-HF": 1.06,
    "OpenGVLab/InternVL3_5-4B-HF": 4.73,
    "OpenGVLab/InternVL3_5-8B-HF": 8.53,
    "OpenGVLab/InternVL3_5-14B-HF": 15.12,
    "OpenGVLab/InternVL3_5-38B-HF": 38.39,
}


def test_all_are_known() -> None:
    assert published.names() == list(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_shapes_have_the_published_number_of_parameters(name: str) -> None:
    config = published.config(name)
    assert family(config.model_type, name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
        model.tie_weights()
    count = sum({id(parameter): parameter.numel() for parameter in model.parameters()}.values())
    assert count / 1e9 == pytest.approx(SIZES[name], abs=0.006)
    layers, heads, kv_heads = head_shape(model)
    text = published.shape(name)["text_config"]
    assert (layers, heads, kv_heads) == (
        text["num_hidden_layers"],
        text["num_attention_heads"],
        text["num_key_value_heads"],
    )
    assert heads % kv_heads == 0


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(UserError, match=r"model: 'Qwen/Qwen9' has no known shape, expected one of Qwen/Qwen3-VL-4B"):
        published.shape("Qwen/Qwen9")
