"""Kinds of values of a configuration: one fault is one line."""

from __future__ import annotations

from typing import Any

import pytest

from coreheads.config.schema import ModelConfig
from coreheads.errors import UserError
from coreheads.validation import validating


@pytest.mark.parametrize("given", [1, 2, {"": 0}, {"model.visual": 0, "lm_head": "cuda:1"}, None])
def test_a_model_may_be_placed(given: Any) -> None:
    assert ModelConfig(id="tiny", device_map=given).device_map == given


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "two", [0, 1], {"model.visual": 0.5}, {"model.visual": True}])
def test_a_wrong_placement_is_one_line(given: Any) -> None:
    with (
        pytest.raises(UserError, match=r"^here: device_map is .*, expected a number of GPUs, at least 1") as caught,
        validating(ModelConfig, "here"),
    ):
        ModelConfig(id="tiny", device_map=given)
    assert len(str(caught.value).splitlines()) == 1
