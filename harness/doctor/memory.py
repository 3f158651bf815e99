"""What memory a model takes, counted from its configuration."""

from __future__ import annotations

from typing import Any

import torch


def cache_bytes(config: Any, dtype: torch.dtype, tokens: int = 1) -> int:
    """Of a dense key-value cache of so many tokens."""
    text = config.text_config
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * int(text.num_hidden_layers * text.num_key_value_heads * width) * dtype.itemsize * tokens
