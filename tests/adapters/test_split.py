"""One model over several devices answers and measures what it does on one, and never mixes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from devices import COUNT, PLACEMENTS, SYNCHRONISED, simulate, split
from family_cases import adapter
from split_cases import HEADS, cases, plain, prompts
from torch import Tensor

from coreheads import Ablate, UserError
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.structure import attention_modules
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.patches.attention import CONTROL, attention
from coreheads.adapters.patches.control import Control

CASES = cases()
QWEN = "qwen3_vl"
OFTEN = ("dense", "vision", "rows", "pyramiddrop", "visionzip")
"""Also tried in other families, and with more with other placements."""


@pytest.fixture(scope="module", autouse=True)
def simulated() -> None:
    simulate()


@cache
def over_two(kind: str, how: str) -> Adapter:
    return split(plain(kind), how)


@cache
def expected(kind: str, name: str, video: bool) -> Any:
    made = plain(kind)
    return CASES[name](made, prompts(made, video))


def same(one: Any, other: Any) -> bool:
    """Numbers up to rounding: kernels of the CPU go by how memory is aligned."""
    if isinstance(one, Tensor):
        return torch.allclose(one, other.cpu(), rtol=1e-4, atol=1e-6)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == pytest.approx(other, abs=1e-5)) if isinstance(one, float) else bool(one == other)


def compare(kind: str, name: str, how: str) -> None:
    # in one prompt with pictures and videos transformers' Qwen3-VL needs the tower where the inputs are
    video, made = how == "halves", over_two(kind, how)
    assert same(expected(kind, name, video), CASES[name](made, prompts(made, video)))


@pytest.mark.parametrize("name", CASES)
def test_a_split_model_is_the_model(name: str) -> None:
    compare(QWEN, name, "tower apart")


@pytest.mark.parametrize("how", [how for how in PLACEMENTS if how != "tower apart"])
@pytest.mark.parametrize("name", [*OFTEN, "evs"])
def test_wherever_its_parts_lie(name: str, how: str) -> None:
    compare(QWEN, name, how)


@pytest.mark.parametrize("kind", ["llava_onevision", "internvl"])
@pytest.mark.parametrize("name", OFTEN)
def test_every_family_can_be_split(name: str, kind: str) -> None:
    compare(kind, name, "halves")


def test_tensors_of_two_devices_do_not_go_together() -> None:
    one, other = (torch.ones(3, device=f"sim:{number}") for number in range(COUNT))
    assert (one + one).tolist() == [2, 2, 2]
    assert (one.to("sim:1") + other).device == other.device
    for wrong in (
        lambda: one + other,
        lambda: torch.cat([one, other]),
        lambda: one[other.long()],
        lambda: one + torch.ones(3),
    ):
        with pytest.raises(RuntimeError, match="expected all tensors on one device"):
            wrong()


def test_every_device_is_waited_for() -> None:
    made = over_two(QWEN, "to and fro")
    SYNCHRONISED.clear()
    clock = Clock(made.devices, on=True)
    clock.now()
    assert [str(device) for device in SYNCHRONISED] == ["sim:1", "sim:0"]


def test_padding_is_read_once_a_call() -> None:
    control = Control("sdpa", 8)
    mask, copied, other = (torch.arange(4)[None] >= start for start in (1, 2, 3))
    assert control.starts(0, mask, 1) == [1]
    assert control.starts(1, copied.to("sim:1"), 1) == [1]  # a copy by its place: it is not looked at
    assert control.starts(2, mask[:, 1:], 1) == [0]
    assert control.starts(0, other, 1) == [3]
    assert control.starts(0, copied, 1) == [2]
    assert control.starts(1, None, 2) == [0, 0]


def test_vision_tokens_are_sent_once_to_each_device() -> None:
    control = Control("sdpa", 8)
    control.vision = torch.tensor([[True, False]])
    here, there = torch.device("cpu"), torch.device("sim:1")
    assert control.vision_on(here) is control.vision
    sent = control.vision_on(there)
    assert sent is not None
    assert sent.device == there
    assert control.vision_on(there) is sent
    control.vision = torch.tensor([[False, True]])
    assert control.vision_on(there).tolist() == [[False, True]]  # type: ignore[union-attr]


def test_the_hooks_between_devices_stay() -> None:
    made = over_two(QWEN, "tower apart")
    (tower,) = made.vision_modules
    hooked = vars(tower)["forward"]
    with VisionCache().active([tower]):
        assert vars(tower)["forward"] is not hooked
    assert vars(tower)["forward"] is hooked
    alone = plain(QWEN).vision_modules
    with VisionCache().active(alone):
        pass
    assert "forward" not in vars(alone[0])


def test_a_part_of_the_heads_is_refused() -> None:
    net = adapter(QWEN).model
    module = attention_modules(net)[1]
    states = torch.randn(1, 4, 5, 16)
    with Ablate(HEADS - {(2, 5)}, "zero")(net):
        assert hasattr(module, CONTROL)
        with pytest.raises(UserError, match="layer 1 has 4 query heads, the configuration says 8: tensor parallelism"):
            attention(module, states, states[:, :2], states[:, :2], None)
