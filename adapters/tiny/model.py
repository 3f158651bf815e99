"""The embedded model with random weights, initialised so that so small a model can learn to look things up."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, Qwen3VLForConditionalGeneration

from coreheads.adapters.tiny.config import model_config

QK_NORM = 1.5
"""Initial weight of the query and key norms: a 32-dimensional normalised head can then be sharp at 4,000 tokens."""


def build_model(seed: int = 0, **text: Any) -> Qwen3VLForConditionalGeneration:
    """A model with freshly drawn weights in float32; ``text`` overrides fields of the text configuration."""
    config = model_config(**text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config)
        depth = config.text_config.num_hidden_layers
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                _initialise(name, parameter, depth)
    model.generation_config = GenerationConfig(
        eos_token_id=config.text_config.eos_token_id, pad_token_id=config.text_config.pad_token_id
    )
    return model.eval()


def _initialise(name: str, parameter: nn.Parameter, depth: int) -> None:
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        nn.init.constant_(parameter, QK_NORM)
    elif "pos_embed" in name:
        nn.init.normal_(parameter, 0.0, 0.3)
    elif "embed_tokens" in name:
        nn.init.normal_(parameter, 0.0, parameter.shape[1] ** -0.5)
    elif parameter.ndim >= 2:
        deviation = parameter[0].numel() ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight", "attn.proj.weight")) or (
            ".blocks." in name and name.endswith("linear_fc2.weight")
        ):
            deviation /= math.sqrt(2 * depth)
        elif "deepstack_merger_list" in name and name.endswith("linear_fc2.weight"):
            deviation *= 0.1
        nn.init.normal_(parameter, 0.0, deviation)
