"""What the tests of kernels share."""

from __future__ import annotations

import pytest
from flash_reference import reference
from torch.nn.attention.flex_attention import flex_attention

from coreheads.adapters.kernels import autotune, flash, flex


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU would be offered, on a CPU: the device is no longer looked at."""
    kernels = {"varlen": reference}
    monkeypatch.setattr(flash, "kernels", lambda: kernels)
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)
    monkeypatch.setattr(autotune, "_CHOICES", {})
