"""The state of a training run on disk: weights and optimiser tensors as safetensors, the rest as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from coreheads.files import read_json, write_json


@dataclass
class Progress:
    """steps: finished; seconds: spent in them; stage: of the last one."""

    steps: int = 0
    seconds: float = 0.0
    stage: str = ""


def save_state(out: Path, model: torch.nn.Module, chain: Sequence[torch.optim.Optimizer], progress: Progress) -> None:
    tensors: dict[str, Tensor] = {
        f"model.{name}": parameter.detach().contiguous() for name, parameter in model.named_parameters()
    }
    for number, optimiser in enumerate(chain):
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser.{number}.{index}.{key}": torch.as_tensor(value).contiguous() for key, value in state.items()
            }
    temporary = out / f"state-{progress.steps}.tmp"
    save_file(tensors, temporary)
    name = f"state-{progress.steps}.safetensors"
    os.replace(temporary, out / name)
    write_json(out / "state.json", {"schema_version": 1, "file": name, **asdict(progress)})
    for old in out.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_state(out: Path, model: torch.nn.Module, chain: Sequence[torch.optim.Optimizer]) -> Progress:
    record = read_json(out / "state.json")
    tensors = load_file(out / record["file"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for number, optimiser in enumerate(chain):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(f"optimiser.{number}."):
                _, _, index, key = name.split(".", 3)
                state.setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return Progress(record["steps"], record["seconds"], record["stage"])
