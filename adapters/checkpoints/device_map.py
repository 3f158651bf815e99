"""Where a checkpoint's model is put: on one device, over the fewest GPUs that hold it, a number of them, or by a map.

A model over several GPUs is split by layers: one GPU works at a time, and more of them make nothing faster. What is not
computed where it lies (offload to CPU or disk) is refused: with it nothing that is timed means anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from coreheads.adapters.checkpoints import loading
from coreheads.adapters.checkpoints.quiet import silent
from coreheads.adapters.checkpoints.shapes import empty_model, weight_bytes
from coreheads.adapters.generation.structure import vision_tower
from coreheads.errors import OutOfMemory, UserError
from coreheads.text import gib

AUTO = "auto-map"
SHARE = 2 / 3
"""Of a GPU's free memory what weights may take; the rest is for keys, values and activations."""
STEPS = 16
"""Ways between GPUs as full as can be and equally full ones that are tried."""

Asked = int | Sequence[int] | Mapping[str, int | str] | None
"""How many GPUs, or which of them, or a device by name of module; None where ``device`` says it."""


class Gpus(NamedTuple):
    """GPUs of which some are to be taken."""

    counts: Sequence[int]
    """How many, ascending; the first number that holds the model is taken."""
    among: Sequence[int]
    """Their numbers."""


def asked(device: str, device_map: Asked = None) -> dict[str, str] | Gpus:
    """A device by name of module ("" is all of it), or GPUs to take from. ``device_map`` goes before ``device``.

    UserError for what cannot be had here.
    """
    if isinstance(device_map, Mapping):
        return {module: _gpu(module, where) for module, where in device_map.items()} or _unknown(device_map)
    if device_map is None and device != AUTO:
        return {"": str(loading.device(device))}
    count = gpus()
    if device_map is None:
        if not count:
            raise UserError(f"device: {AUTO!r}, but this machine has no CUDA devices that torch can use")
        return Gpus(range(1, count + 1), range(count))
    among: Sequence[int] = range(count)
    number: Any = device_map
    if isinstance(device_map, list | tuple | range):
        among, number = device_map, len(set(device_map))
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        _unknown(device_map)
    if number > count or not set(range(count)).issuperset(among):
        raise UserError(f"device_map: {device_map}, but this machine has {count} CUDA devices that torch can use")
    return Gpus([number], among)


def made(name: str, where: dict[str, str] | Gpus, config: Any, dtype: str) -> dict[str, str]:
    """The map itself; OutOfMemory where the GPUs do not hold the model."""
    if isinstance(where, dict):
        return where
    try:
        return planned(empty_model(config, loading.dtype_of(config, dtype)), free_memory(), *where)
    except OutOfMemory as error:
        raise OutOfMemory(f"{name}: {error}") from None


def gpus() -> int:
    """How many CUDA devices there are."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_memory() -> list[int]:
    """Free bytes of each GPU."""
    return [torch.cuda.mem_get_info(number)[0] for number in range(gpus())]


def planned(
    model: nn.Module, free: Sequence[int], counts: Collection[int], among: Sequence[int] | None = None
) -> dict[str, str]:
    """The device of each module, on as many GPUs as the first of ``counts`` that holds the model.

    Those with the most free memory are taken, and are about equally full.

    Args:
        model: May be on the meta device.
        free: Bytes of each GPU.
        counts: Numbers of GPUs, ascending.
        among: Which GPUs may be taken; None is all.

    Raises:
        OutOfMemory: None of them does.
    """
    weights, chosen = weight_bytes(model), [0]
    for count in counts:
        fullest_last = sorted(range(len(free)) if among is None else among, key=lambda number: -free[number])
        chosen = sorted(fullest_last[:count])
        room = {number: int(free[number] * SHARE) for number in chosen}
        if count == 1 and weights <= room[chosen[0]]:
            return {"": f"cuda:{chosen[0]}"}
        if count > 1 and (found := _split(model, weights, room)):
            return {module: f"cuda:{number}" for module, number in found.items()}
    room_text = gib(int(sum(free[number] for number in chosen) * SHARE))
    what = f"{gib(weights)} of weights do not fit into {room_text}, two thirds of what is free on {len(chosen)} GPUs"
    raise OutOfMemory(what)


def _split(model: Any, weights: int, room: Mapping[int, int]) -> dict[str, int] | None:
    """By accelerate, with layers whole; None where it would leave something out."""
    from accelerate import infer_auto_device_map

    least = weights / max(1, sum(room.values()))
    fitting: list[dict[str, int]] = []
    for step in range(STEPS + 1) if least <= 1 else ():
        share = least + (1 - least) * step / STEPS
        with silent():
            found: dict[str, Any] = infer_auto_device_map(
                model,
                {number: int(size * share) for number, size in room.items()},
                no_split_module_classes=list(model._no_split_modules or ()),
            )
        if all(where in room for where in found.values()):
            fitting.append(found)
            if _one_place(model, found):  # transformers mixes pictures' and videos' features with masks of the inputs
                return found
    return fitting[0] if fitting else None


def _one_place(model: Any, found: Mapping[str, int]) -> bool:
    """Whether the vision tower lies where the inputs go."""
    wanted = {id(vision_tower(model)), id(model.get_input_embeddings())}
    names = [name for name, module in model.named_modules() if id(module) in wanted]
    inside = {where for key, where in found.items() for name in names if f"{key}.".startswith(f"{name}.")}
    around = {where for key, where in found.items() for name in names if f"{name}.".startswith(f"{key}.")}
    return len(inside | around) == 1


def _gpu(module: object, where: object) -> str:
    """A map's entry as a device's name."""
    if isinstance(where, int) and not isinstance(where, bool) and where >= 0:
        where = f"cuda:{where}"
    kind = str(where).partition(":")[0]
    if kind in ("cpu", "disk", "meta"):
        raise UserError(f"device_map: {where!r} for {module!r}, expected GPUs: nothing is offloaded to {kind}")
    if not isinstance(module, str) or kind != "cuda":
        raise UserError(f"device_map: {where!r} for {module!r}, expected the number of a GPU or cuda:N")
    return str(loading.device(str(where)))


def _unknown(device_map: object) -> Any:
    raise UserError(f"device_map: {device_map!r}, expected a number of GPUs, or a GPU for each module")
