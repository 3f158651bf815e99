"""Streaming attention is hybrid attention without heads; its numbers and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from patches_oracle import tiny_model

from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.registry import make_patch
from coreheads.adapters.patches.streaming import Streaming
from coreheads.errors import UserError


def test_it_reports_what_its_cache_keeps() -> None:
    model, patch = tiny_model(), make_patch("streaming", window=8, sink=2)
    assert patch == Streaming(8, 2)
    assert patch.describe() == {"patch": "streaming", "window": 8, "sink": 2}
    assert patch.kv_ratio(model, 100) == pytest.approx(0.1)
    assert patch.kv_ratio(model, 7) == 1
    assert patch.ceiling() == Hybrid(set(), 2, 8, local=False)
    cache: Any = patch.cache(model)
    assert [layer.full for layer in cache.layers] == [[], []]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0}, "Streaming: window is 0, expected a whole number of at least 1"),
        ({"window": 0.5}, "Streaming: window is 0.5"),
        ({"sink": -1}, "Streaming: sink is -1, expected a whole number of at least 0"),
    ],
)
def test_bad_values_end_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        make_patch("streaming", **values)
    assert message in str(caught.value)
