"""A model of a published shape with random weights: speed depends on shapes, not on values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from coreheads.adapters.checkpoints.shapes import empty_model


def random_model(config: Any, dtype: torch.dtype, where: Mapping[str, str]) -> nn.Module:
    """The model in evaluation mode, the same weights every time on the same devices.

    Over several GPUs weights are drawn where they belong: no memory holds the model as a whole.

    Args:
        config: Of transformers.
        dtype: Of the weights.
        where: A device by name of module, "" being all of it (see ``coreheads.adapters.checkpoints.device_map``).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = _on_one(config, dtype, where[""]) if "" in where else _split(config, dtype, where)
    return model.eval()


def _on_one(config: Any, dtype: torch.dtype, device: str) -> Any:
    from transformers import AutoModelForImageTextToText

    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model.to(device=device, dtype=dtype)


def _split(config: Any, dtype: torch.dtype, where: Mapping[str, str]) -> Any:
    from accelerate import dispatch_model

    model: Any = empty_model(config, dtype)
    for name, module in model.named_modules():
        for own, values in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            made = torch.empty_like(values, device=_place(where, f"{name}.{own}"))
            setattr(module, own, nn.Parameter(made) if isinstance(values, nn.Parameter) else made)
    model.initialize_weights()  # buffers too, as after the loading of a checkpoint
    model.tie_weights()
    return dispatch_model(model, dict(where), skip_keys=model._skip_keys_device_placement)


def _place(where: Mapping[str, str], name: str) -> str:
    """The device of a parameter: that of the innermost module around it that has one."""
    return where[max((module for module in where if f"{name}.".startswith(f"{module}.")), key=len)]
