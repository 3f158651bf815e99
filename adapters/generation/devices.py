"""The devices that one model lies on: which they are, waiting for all of them, the most memory that they held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from coreheads.errors import UserError


def input_device(model: Any) -> torch.device:
    """Where the model takes its inputs: with its token embedding."""
    device: torch.device = model.get_input_embeddings().weight.device
    return device


def model_devices(model: nn.Module) -> tuple[torch.device, ...]:
    """All devices that parameters of the model lie on, that of its inputs first."""
    return tuple(dict.fromkeys([input_device(model), *(parameter.device for parameter in model.parameters())]))


def check_devices(model: nn.Module) -> None:
    """UserError where parts of the model do not lie where they are computed, as accelerate's offload leaves them."""
    places = {str(where) for where in (getattr(model, "hf_device_map", None) or {}).values()}
    if "disk" in places or (len(places) > 1 and places & {"cpu", "meta"}):
        raise UserError(
            f"device_map: parts lie on {', '.join(sorted(places))}, expected GPUs alone: nothing is offloaded"
        )


def synchronize(devices: Iterable[torch.device]) -> None:
    """Wait until each device has done what it was asked for."""
    for device in devices:
        if device.type == "mps":
            torch.mps.synchronize()
        elif device.type not in ("cpu", "meta"):
            torch.get_device_module(device).synchronize(device)


class Peak(NamedTuple):
    """Most bytes allocated: summed over a model's devices, and of the device that held most."""

    total: int
    largest: int


def reset_peak(devices: Iterable[torch.device]) -> None:
    """Count the most memory anew, where devices count it."""
    for device in devices:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)


def peak(devices: Iterable[torch.device]) -> Peak | None:
    """The most memory in use since it was last counted anew; None where a device does not count it.

    Devices have their peaks at different moments: the sum bounds what they held together.
    """
    devices = list(devices)
    if any(device.type != "cuda" for device in devices):
        return None
    each = [torch.cuda.max_memory_allocated(device) for device in devices]
    return Peak(sum(each), max(each))
