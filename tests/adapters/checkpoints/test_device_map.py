"""Over which GPUs a model is split, planned for machines that are not here, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from devices import split
from family_cases import FAMILIES, adapter, model

from coreheads import UserError, load_adapter
from coreheads.adapters.checkpoints import device_map
from coreheads.adapters.checkpoints.published import config
from coreheads.adapters.checkpoints.shapes import empty_model, weight_bytes
from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.errors import OutOfMemory

GIB = 1 << 30


@pytest.fixture(scope="module")
def large() -> Any:
    """62 GiB of weights, on the meta device."""
    return empty_model(config("Qwen/Qwen3-VL-32B-Instruct"), torch.bfloat16)


def layers_by_gpu(found: dict[str, str]) -> list[str]:
    """The GPU of each layer of the language model."""
    layers = {int(name.rpartition(".")[2]): where for name, where in found.items() if ".language_model.layers." in name}
    return [layers[number] for number in sorted(layers)]


def test_the_fewest_gpus_that_hold_it_with_a_third_left_free(large: Any) -> None:
    assert weight_bytes(large) / GIB == pytest.approx(62, abs=1)
    assert device_map.planned(large, [141 * GIB] * 8, range(1, 9)) == {"": "cuda:0"}
    found = device_map.planned(large, [80 * GIB] * 8, range(1, 9))
    where = layers_by_gpu(found)
    assert len(where) == 64
    assert set(found.values()) == {"cuda:0", "cuda:1"}
    assert where == sorted(where)
    assert 26 <= where.count("cuda:0") <= 34  # about equally full
    assert {found[name] for name in found if "visual" in name or "embed_tokens" in name} == {"cuda:0"}
    assert len(set(device_map.planned(large, [40 * GIB] * 4, range(1, 5)).values())) == 3


def test_gpus_with_the_most_free_memory_are_taken(large: Any) -> None:
    found = device_map.planned(large, [10 * GIB, 80 * GIB, 12 * GIB, 79 * GIB], range(1, 5))
    assert set(found.values()) == {"cuda:1", "cuda:3"}
    assert device_map.planned(large, [80 * GIB, 120 * GIB], range(1, 3)) == {"": "cuda:1"}


def test_a_number_of_gpus_is_that_number(large: Any) -> None:
    assert len(set(layers_by_gpu(device_map.planned(large, [80 * GIB] * 8, [4])))) == 4


def test_what_does_not_fit_is_told_in_numbers(large: Any) -> None:
    for free in ([40 * GIB, 40 * GIB], [80 * GIB], [60 * GIB, 30 * GIB]):
        with pytest.raises(OutOfMemory, match=f"62.* GiB of weights do not fit into .* on {len(free)} GPUs"):
            device_map.planned(large, free, range(1, len(free) + 1))


@pytest.mark.parametrize("kind", FAMILIES)
def test_layers_stay_whole_in_every_family(kind: str) -> None:
    small = model(kind)
    room = int(weight_bytes(small) * 1.3)
    found = device_map.planned(small, [room] * 4, range(1, 5))
    assert set(found.values()) <= {f"cuda:{number}" for number in range(4)}
    assert len(set(found.values())) > 1
    assert not any(".layers.0." in name or ".layers.1." in name for name in found)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"device": "auto-map"}, "device: 'auto-map', but this machine has no CUDA devices that torch can use"),
        ({"device_map": 2}, "device_map: 2, but this machine has 0 CUDA devices that torch can use"),
        ({"device_map": [0, 1]}, "device_map: [0, 1], but this machine has 0 CUDA devices that torch can use"),
        ({"device_map": 0}, "device_map: 0, expected a number of GPUs, or a GPU for each module"),
        ({"device_map": True}, "device_map: True, expected a number of GPUs"),
        ({"device_map": "auto"}, "device_map: 'auto', expected a number of GPUs"),
        ({"device_map": {}}, "device_map: {}, expected a number of GPUs"),
        ({"device_map": {"model": 0, "lm_head": "cpu"}}, "device: 'cuda:0', but this machine has 0 CUDA devices"),
        ({"device_map": {"": "cpu"}}, "device_map: 'cpu' for '', expected GPUs: nothing is offloaded to cpu"),
        ({"device_map": {"": "disk"}}, "device_map: 'disk' for '', expected GPUs: nothing is offloaded to disk"),
        ({"device_map": {"": "meta"}}, "device_map: 'meta' for '', expected GPUs: nothing is offloaded to meta"),
        ({"device_map": {"": "mps"}}, "device_map: 'mps' for '', expected the number of a GPU or cuda:N"),
        ({"device_map": {"": -1}}, "device_map: -1 for '', expected the number of a GPU or cuda:N"),
        ({"device": "automap"}, "device: 'automap', expected auto, cpu, cuda, cuda:N or auto-map"),
    ],
)
def test_what_cannot_be_had_is_one_line(asked: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as error:
        load_adapter("tiny", **asked)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "where", [{"model": 0, "lm_head": "cpu"}, {"": "disk"}, {"model": "cuda:0", "lm_head": "meta"}]
)
def test_a_model_with_offloaded_parts_gets_no_adapter(where: dict[str, Any]) -> None:
    net = empty_model(config("Qwen/Qwen3-VL-4B-Instruct"), torch.bfloat16)
    net.hf_device_map = where  # type: ignore[assignment]
    with pytest.raises(UserError, match="nothing is offloaded"):
        Qwen3VL(net, adapter("qwen3_vl").processor)


def test_inputs_go_where_the_embedding_is() -> None:
    made = split(adapter("qwen3_vl"), "to and fro")
    assert str(made.device) == "sim:1"
    assert [str(device) for device in made.devices] == ["sim:1", "sim:0"]
