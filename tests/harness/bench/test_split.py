"""``coreheads bench`` of random weights over several devices, which are simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_cases import SETTINGS
from devices import PLACEMENTS, placement, simulate
from family_cases import FAMILIES, model

from coreheads.adapters.checkpoints import device_map
from coreheads.adapters.checkpoints.random_weights import random_model
from coreheads.adapters.generation.devices import model_devices
from coreheads.bench.run import bench
from coreheads.bench.target import Target, load


@pytest.fixture(scope="module", autouse=True)
def simulated() -> None:
    simulate()


def over_two(folder: Path, kind: str, how: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    """As ``auto-map`` would give it on a machine with two GPUs."""
    small = model(kind)
    small.config.save_pretrained(folder)
    monkeypatch.setattr(device_map, "gpus", lambda: 2)
    monkeypatch.setattr(device_map, "free_memory", lambda: [1 << 30] * 2)
    monkeypatch.setattr(device_map, "planned", lambda empty, *_: placement(empty, how))
    return load(str(folder), True, "auto-map", "float32")


@pytest.mark.parametrize("how", PLACEMENTS)
@pytest.mark.parametrize("kind", FAMILIES)
def test_weights_are_drawn_where_they_belong(
    kind: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = over_two(tmp_path, kind, how, monkeypatch)
    assert {str(device) for device in model_devices(target.model)} == {"sim:0", "sim:1"}
    alone: Any = random_model(target.model.config, torch.float32, {"": "cpu"})
    drawn = {name: value.cpu() for name, value in target.model.state_dict().items()}
    expected = alone.state_dict()
    assert drawn.keys() == expected.keys()
    for name, value in expected.items():
        drawn_std, std = (float(part.std(correction=0)) for part in (drawn[name], value))
        assert drawn_std == pytest.approx(std, rel=0.5, abs=1e-5), name
        assert drawn[name].mean() == pytest.approx(float(value.mean()), abs=8 * std / value.numel() ** 0.5 + 1e-5)
    alone.load_state_dict(drawn)
    given = target.workload(60)
    whole = Target("one", "random", alone)
    on_cpu = whole.workload(60)
    with torch.inference_mode():
        logits = target.prefill(target.cache(61), given).cpu()
        torch.testing.assert_close(logits, whole.prefill(whole.cache(61), on_cpu), rtol=1e-4, atol=1e-5)
        assert given.vision is not None
        given.vision()


def test_a_split_model_of_random_weights_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = over_two(tmp_path, "internvl", "halves", monkeypatch)
    rows, details = bench(target, replace(SETTINGS, contexts=[80]), print)
    assert {row["phase"] for row in rows} == {"vision", "prefill", "decode", "end_to_end"}
    assert {row["weights"] for row in rows} == {"random"}
    assert {row["device"] for row in rows} == {"1x sim:0 + 1x sim:1, split"}
    assert details["contexts"][0]["checked"]["clustered 25 %, sink 4, window 16"]["row_error"] < 1e-5  # type: ignore[typeddict-item]
