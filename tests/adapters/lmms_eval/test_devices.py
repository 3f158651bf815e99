"""Which GPUs one process among several takes, of a machine that is not here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from coreheads.adapters.checkpoints import adapter, device_map
from coreheads.adapters.checkpoints.published import config
from coreheads.adapters.checkpoints.shapes import empty_model, weight_bytes
from coreheads.adapters.lmms_eval.arguments import own_devices
from coreheads.adapters.lmms_eval.model import CoreHeads
from coreheads.errors import UserError

GIB = 1 << 30


@pytest.mark.parametrize(
    ("device", "given", "variables", "expected"),
    [
        ("cuda", None, {"LOCAL_RANK": "1"}, ("cuda:1", None)),
        ("cuda", None, {}, ("cuda", None)),
        ("cpu", None, {"LOCAL_RANK": "1"}, ("cpu", None)),
        ("cuda:3", None, {"LOCAL_RANK": "1"}, ("cuda:3", None)),
        ("cuda", 2, {"LOCAL_RANK": "0"}, ("cuda", [0, 1])),
        ("cuda", 2, {"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}, ("cuda", [6, 7])),
        ("cuda", 1, {"LOCAL_RANK": "3"}, ("cuda", [3])),
        # alone, a process takes what it is given
        ("cuda", 2, {}, ("cuda", 2)),
        ("auto-map", None, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, ("auto-map", None)),
        ("cuda", {"": 1}, {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, ("cuda", {"": 1})),
    ],
)
def test_a_process_takes_its_own_gpus(
    device: str, given: Any, variables: dict[str, str], expected: tuple[str, Any]
) -> None:
    assert tuple(own_devices(device, given, variables).values()) == expected


@pytest.mark.parametrize(("device", "given"), [("auto-map", None), ("cuda", {"": 1}), ("cuda", "auto"), ("cuda", 0)])
def test_what_all_processes_would_take_is_refused(device: str, given: Any) -> None:
    with pytest.raises(UserError, match=r"in several processes, expected device_map=N, the GPUs of each") as caught:
        own_devices(device, given, {"LOCAL_RANK": "0"})
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_map, "gpus", lambda: 8)
    # the others' GPUs have more room, but are theirs
    monkeypatch.setattr(device_map, "free_memory", lambda: [140 * GIB, 140 * GIB, *[78 * GIB] * 4, 80 * GIB, 80 * GIB])


def test_two_processes_split_a_large_model_over_gpus_of_their_own(eight: None) -> None:
    large = config("Qwen/Qwen3-VL-32B-Instruct")
    weights = weight_bytes(empty_model(large, torch.bfloat16))
    assert weights > 78 * GIB * device_map.SHARE  # one does not hold it
    taken = []
    for rank in range(1, 4):
        own = own_devices("cuda", 2, {"LOCAL_RANK": str(rank)})
        taken.append(set(device_map.made("large", device_map.asked(**own), large, "bfloat16").values()))
    assert taken == [{"cuda:2", "cuda:3"}, {"cuda:4", "cuda:5"}, {"cuda:6", "cuda:7"}]


def test_more_gpus_than_there_are_is_one_line(eight: None) -> None:
    own = own_devices("cuda", 3, {"LOCAL_RANK": "2"})
    with pytest.raises(UserError, match=r"device_map: \[6, 7, 8\], but this machine has 8 CUDA devices"):
        device_map.asked(**own)


def test_the_models_arguments_reach_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def load_adapter(name: str, **given: Any) -> None:
        asked.update(given, name=name)
        raise Stop

    monkeypatch.setattr(adapter, "load_adapter", load_adapter)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    with pytest.raises(Stop):
        CoreHeads.create_from_arg_string("pretrained=large,device=cuda,device_map=2,dtype=bfloat16,max_pixels=9", {})
    assert asked == {
        "name": "large",
        "device": "cuda",
        "device_map": [2, 3],
        "dtype": "bfloat16",
        "attn_implementation": None,
        "revision": None,
        "trust_remote_code": False,
        "max_pixels": 9,
    }
