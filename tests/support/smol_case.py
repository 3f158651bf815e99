"""The models of SmolLM2 for tests: each loaded once a process, where the package is installed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from coreheads.adapters.smol import build, weights

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt

NAMES = ("smol", "smol-onevision")

INSTALLED = weights.installed() is not None or all(build.folder(name).is_dir() for name in NAMES)

needs_smol = pytest.mark.skipif(not INSTALLED, reason=f"needs {weights.PACKAGE}: `{weights.FETCH}` installs it")


@cache
def smol(name: str = "smol") -> Adapter:
    from coreheads.adapters.checkpoints.adapter import load_adapter

    return load_adapter(name)


def features(name: str, prompt: Prompt) -> Tensor:
    """What the language model is given of a prompt's pictures, [vision tokens, width]."""
    import torch

    with torch.inference_mode():
        seen = smol(name).model.get_image_features(**prompt.vision_inputs).pooler_output
    return torch.cat([one.reshape(-1, one.shape[-1]) for one in seen])
