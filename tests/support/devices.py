"""Two devices for a machine that has none: ``sim:0`` and ``sim:1`` hold real values, which the CPU's kernels compute.

An operation whose tensors lie on two devices raises, as on GPUs; only copies may cross. So a model that is split over
both must give what it gives on the CPU, bit by bit. Streams, memory and a GPU's kernels are not simulated.

torch calls a device written in Python experimental; once made, it stays for the process, and does nothing unless named.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from coreheads.adapters.families.base import Adapter

COUNT = 2
aten = torch.ops.aten
CROSSING = {aten.copy_.default, aten._to_copy.default, aten._copy_from.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._unsafe_index.Tensor}
LIBRARY = torch.library.Library("aten", "IMPL")


class Simulated(torch.Tensor):
    """A tensor that says it lies on a simulated device; ``values`` are on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor, device: torch.device) -> Simulated:
        about = {"strides": values.stride(), "storage_offset": values.storage_offset(), "dtype": values.dtype}
        made: Simulated = torch.Tensor._make_wrapper_subclass(cls, values.shape, device=device, **about)  # type: ignore[attr-defined]
        made.values = values
        return made

    def data_ptr(self) -> int:
        return self.values.data_ptr()

    def tolist(self) -> Any:
        return self.values.tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"{self.values!r} on {self.device}"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:  # whole, or it is taken apart into other kernels
            return compute(func, args, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the values; RuntimeError where its tensors lie on different devices."""
    if getattr(func, "overloadpacket", None) is aten.to:  # in inference mode it comes whole
        return func.decompose(*args, **kwargs)
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Simulated)]
    home = place(func, args, kwargs)
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": False}
        kwargs = {name: value for name, value in kwargs.items() if name != "pin_memory" or accepts(func, name)}
    known = {id(tensor.values): tensor for tensor in given}
    plain_args, plain_kwargs = tree_map_only(Simulated, lambda tensor: tensor.values, (args, kwargs))
    output = func(*plain_args, **plain_kwargs)
    if func is aten._local_scalar_dense.default or home.type != "sim":
        return tree_map_only(Tensor, lambda tensor: known.get(id(tensor), tensor), output)
    # a view of a normal tensor is a normal one, in inference mode too
    normal = getattr(func, "is_view", False) and any(not tensor.is_inference() for tensor in given)

    def wrapped(tensor: Tensor) -> Tensor:
        if id(tensor) in known:
            return known[id(tensor)]
        with torch.inference_mode(torch.is_inference_mode_enabled() and not normal):
            return Simulated(tensor, home)

    return tree_map_only(Tensor, wrapped, output)


def accepts(func: Any, name: str) -> bool:
    return any(argument.name == name for argument in func._schema.arguments)


def place(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """The device of an operation's results."""
    wanted = kwargs.get("device")
    if func in CROSSING:
        return numbered(wanted or args[0].device)
    asked = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if func in INDEXING:  # indices may come from the CPU
        asked = [*args[:1], *args[2:3], *(index for index in args[1] if isinstance(index, Simulated))]
        asked = [leaf for leaf in asked if isinstance(leaf, Tensor)]
    # one number of the CPU's goes anywhere
    devices = {tensor.device for tensor in asked if tensor.dim() or isinstance(tensor, Simulated)}
    if len(devices) > 1:
        found = ", ".join(sorted(map(str, devices)))
        raise RuntimeError(f"expected all tensors on one device, found {found} in {func}")
    return numbered(wanted or next(iter(devices), torch.device("cpu")))


def numbered(device: torch.device | str) -> torch.device:
    device = torch.device(device)
    return torch.device("sim", device.index or 0) if device.type == "sim" else device


class Backend:
    """What torch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def device_count(self) -> int:
        return COUNT

    def current_device(self) -> int:
        return 0

    def _lazy_init(self) -> None:
        pass

    def synchronize(self, device: torch.device | None = None) -> None:
        SYNCHRONISED.append(numbered(device or "sim"))


SYNCHRONISED: list[torch.device] = []
"""Devices in the order in which they were waited for."""


@cache
def simulate() -> None:
    """Make the devices; the test is skipped where torch cannot."""
    from torch.utils import backend_registration

    make: Callable[..., None] | None = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if make is None:
        pytest.skip("this torch has no devices written in Python (experimental in torch 2.10)")
    make("sim", backend_module=Backend())
    for packet, overload in FACTORIES:
        operation = getattr(getattr(aten, packet), overload)
        LIBRARY.impl(operation, partial(_made, operation), "PrivateUse1")
    LIBRARY.impl("_copy_from", _copy_from, "PrivateUse1")
    LIBRARY.impl("_local_scalar_dense", lambda tensor: tensor.values.item(), "PrivateUse1")


FACTORIES = [("empty", "memory_format"), ("empty_strided", "default"), ("eye", "default"), ("eye", "m")]
FACTORIES += [("arange", overload) for overload in ("default", "start", "start_step")]
"""Operations that make a tensor of none, and either make it out of nothing or resize what they made."""


def _made(operation: Any, *args: Any, device: Any = None, pin_memory: Any = None, **kwargs: Any) -> Tensor:
    return Simulated(operation(*args, **kwargs, device="cpu"), numbered(device))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    values = [tensor.values if isinstance(tensor, Simulated) else tensor for tensor in (source, target)]
    values[1].copy_(values[0])
    return target


PLACEMENTS = ("halves", "tower apart", "to and fro")


def placement(model: Any, how: str) -> dict[str, str]:
    """A device map. ``halves``: tower, embedding and first layers on one device, the rest on the other; ``tower
    apart``: with the layers after the first; ``to and fro``: layers in turns, inputs not on the device of the tower."""
    first, second = ("sim:1", "sim:0") if how == "to and fro" else ("sim:0", "sim:1")
    tower = "sim:0" if how == "halves" else "sim:1" if how == "tower apart" else "sim:0"
    layers = len(model.model.language_model.layers)
    found = {f"model.{name}": tower for name, _ in model.model.named_children() if name != "language_model"}
    found |= {f"model.{name}": tower for name, _ in model.model.named_parameters(recurse=False)}  # image_newline
    text = "model.language_model"
    found |= {f"{text}.{name}": first for name in ("embed_tokens", "rotary_emb")}
    for layer in range(layers):
        far = layer % 2 if how == "to and fro" else layer >= (1 if how == "tower apart" else layers / 2)
        found[f"{text}.layers.{layer}"] = second if far else first
    return {**found, f"{text}.norm": second, "lm_head": first if how == "tower apart" else second}


def split(adapter: Adapter, how: str) -> Adapter:
    """A copy of the adapter whose model lies on both devices, as transformers would have loaded it."""
    from accelerate import dispatch_model

    simulate()
    model = deepcopy(adapter.model)
    skipped = model._skip_keys_device_placement
    model = dispatch_model(model, placement(model, how), main_device="sim:0", skip_keys=skipped)
    return type(adapter)(model, adapter.processor, id=adapter.id)
