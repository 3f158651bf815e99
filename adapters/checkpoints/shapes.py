"""A model of which only the shapes are there: no weight is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from coreheads import limits
from coreheads.adapters.checkpoints.quiet import silent
from coreheads.errors import UserError, one_line


def empty_model(config: Any, dtype: torch.dtype) -> nn.Module:
    """The model on torch's meta device, where tensors have shapes alone; UserError for numbers that make no model, or
    one of so many modules that it takes minutes."""
    from transformers import AutoModelForImageTextToText

    try:
        with silent(), torch.device("meta"), _bounded(limits.MODULES):
            model: Any = AutoModelForImageTextToText.from_config(config, dtype=dtype)
            model.tie_weights()
    except Exception as error:  # whatever a model says of numbers that do not go together
        raise UserError(f"config.json: describes no model that can be built ({one_line(error)})") from error
    empty: nn.Module = model.eval()
    return empty


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    """ValueError where more modules than that are put together."""
    made = count(1)
    hook = register_module_module_registration_hook(lambda *module: limits.check(next(made), most, "modules or more"))
    try:
        yield
    finally:
        hook.remove()


def weight_bytes(model: nn.Module) -> int:
    """Of the parameters; tied ones count once."""
    return sum(parameter.nbytes for parameter in model.parameters())
