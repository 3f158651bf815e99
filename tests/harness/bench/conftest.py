from __future__ import annotations

from pathlib import Path

import pytest
import torch

from coreheads.bench.target import Target, load


@pytest.fixture(scope="module")
def target(small_model: Path) -> Target:
    torch.set_num_threads(1)
    return load(str(small_model), False, "cpu", "float32")
