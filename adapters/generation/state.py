"""What an adapter's numbers depend on, as a short text: of what is in memory, whatever it was loaded from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from coreheads import environment
from coreheads.hashing.contents import json_hash

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.generation.protocol import GenerationAdapter

WHOLE_BYTES = 4 << 30
"""Weights that are larger, all tensors together, are not read whole."""

_NUMBERS = 1 << 16
"""How many numbers then stand for a tensor, evenly spaced."""


def state_hash(adapter: GenerationAdapter) -> str:
    """SHA-256 (hex) of weights, configuration, processor with its chat template, settings, and versions of packages.

    Of weights of more than 4 GiB count 65,536 evenly spaced numbers of each tensor.
    """
    model, processor = adapter.model, adapter.processor
    tokenizer = processor.tokenizer
    about = {
        "versions": environment.versions(),
        "device": adapter.device.type,
        "config": model.config.to_dict(),
        "attn_implementation": model.config.text_config._attn_implementation,
        "generation": generation.to_dict() if (generation := getattr(model, "generation_config", None)) else None,
        "settings": {key: value for key, value in vars(adapter).items() if key not in ("model", "processor")},
        "processor": processor.to_dict(),
        "chat_templates": [processor.chat_template, tokenizer.chat_template],
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "special_tokens": tokenizer.special_tokens_map,
    }
    return json_hash([_plain(about), _weights(model.state_dict())])


def _weights(tensors: dict[str, Tensor]) -> str:
    whole = sum(tensor.nbytes for tensor in tensors.values()) <= WHOLE_BYTES
    content = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        numbers = tensor.detach().reshape(-1)
        step = 1 if whole else max(1, len(numbers) // _NUMBERS)
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        content.update(numbers[::step].cpu().contiguous().view(torch.uint8).numpy().data)
    return content.hexdigest()


def _plain(value: Any) -> Any:
    """As JSON values, alike in every process."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
