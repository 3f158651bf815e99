"""What memory a benchmark would take on a GPU: every tensor that is made is counted until it is let go, on torch's meta
device, where tensors have shapes alone, with FlashAttention as the kernel. On a real GPU the CUDA context, workspaces
and the allocator's gaps come on top, together some percent."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from coreheads.adapters.checkpoints.shapes import weight_bytes
from coreheads.adapters.kernels import autotune, flash
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.heads import with_dense
from coreheads.bench.settings import Plan, Settings
from coreheads.bench.target import Target
from coreheads.errors import UserError
from coreheads.limits import GIB
from coreheads.timing.interleaved import OWN, dense_kernel

KERNEL = "varlen"
STEPS = 1
"""Tokens decoded after the prompt: buffers that grow have grown by then."""


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors made inside the block that are still held: now, at most; and those of the largest one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.largest = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here: torch would ask its compiler to stand back, anew for every operation."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _computed(func, args, kwargs or {})
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(made, Tensor) and (storage := made.untyped_storage())._cdata not in self._known:
                size = storage.nbytes()
                self._known[storage._cdata] = weakref.ref(storage, partial(self._free, storage._cdata, size))
                self.now += size
                self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)
        return result

    def _free(self, name: int, size: int, _gone: object) -> None:
        self._known.pop(name, None)
        self.now -= size


_SHAPES: dict[Any, tuple[torch.Size, tuple[int, ...], torch.dtype] | None] = {}
"""What an operation makes of inputs of these shapes; None where that is not to be told by shapes. Layers are alike, and
torch finds most shapes in Python, which takes ten times as long as to look them up."""


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """The operation's result on the meta device."""
    try:
        key = (func, _signature(args), _signature(tuple(sorted(kwargs.items()))) if kwargs else ())
        known = _SHAPES.get(key)
    except TypeError:  # something that has no hash
        return func(*args, **kwargs)
    if known is not None:
        return torch.empty_strided(known[0], known[1], dtype=known[2], device="meta")
    result = func(*args, **kwargs)
    if key not in _SHAPES:
        schema = func._schema
        new = all(part.alias_info is None for part in (*schema.arguments, *schema.returns))
        storages = {tensor.untyped_storage()._cdata for tensor in _tensors((args, tuple(kwargs.values())))}
        if new and isinstance(result, Tensor) and result.is_meta and result.untyped_storage()._cdata not in storages:
            whole = result.untyped_storage().nbytes() == result.nbytes
            _SHAPES[key] = (result.shape, result.stride(), result.dtype) if whole else None
        else:
            _SHAPES[key] = None
    return result


def _signature(value: Any) -> Any:
    """What an input is to an operation on the meta device; TypeError where its values count too."""
    if isinstance(value, Tensor):
        if not value.is_meta:
            raise TypeError
        return value.shape, value.stride(), value.dtype
    if isinstance(value, tuple | list):
        return tuple(map(_signature, value))
    return type(value), value  # 1, 1.0 and True are equal


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []


@dataclass(frozen=True)
class Need:
    """Bytes beside the weights for a prompt and a few tokens: at most, kept in the cache, of the largest tensor."""

    peak: int
    cache: int
    largest: int


def need(target: Target, tokens: int, plan: Plan, patch: Hybrid | None = None) -> Need:
    """Of a model on the meta device (``target.shapes``); dense attention without ``patch``.

    UserError where this torch has no kernel that tells its shapes.
    """
    if KERNEL not in flash.kernels():
        raise UserError(f"--dry-run needs torch 2.11 or newer (varlen_attn with a window), this is {torch.__version__}")
    workload = target.workload(tokens, plan.batch)
    attention = dense_kernel(target.model, OWN) if patch is None else patch(target.model)
    kernels = autotune.forced(full=KERNEL, window=KERNEL, hybrid="passes")
    with torch.inference_mode(), kernels, attention, Allocations() as counted:
        cache = target.cache(tokens + STEPS, patch)
        target.prefill(cache, workload, plan.prefill_chunk)
        for step in range(STEPS):
            target.forward(cache, **workload.next_token(step))
        return Need(counted.peak, counted.now, counted.largest)


def report(target: Target, settings: Settings, say: Callable[[str], None]) -> str:
    """A table of GiB: weights, and at the peak of every context and variant, weights included."""
    from tabulate import tabulate

    weights, plan, lines = weight_bytes(target.model), settings.plan, []
    patches = with_dense(target, settings)
    for tokens in sorted(settings.contexts):
        for name, patch in patches.items():
            counted = need(target, tokens, plan, patch)
            lines.append([f"{tokens:,}", name, f"{(weights + counted.peak) / GIB:.1f}", f"{counted.cache / GIB:.1f}"])
        say(f"{tokens:,} tokens: counted")
    pieces = "" if plan.prefill_chunk is None else f", in pieces of {plan.prefill_chunk:,} tokens"
    head = f"{target.name}, {str(target.model.dtype).removeprefix('torch.')}, batch {plan.batch}{pieces}"
    table = tabulate(lines, headers=["tokens", "attention", "peak, GiB", "KV cache, GiB"], disable_numparse=True,
                     colalign=("right", "left", "right", "right"))  # fmt: skip
    return (
        f"{head}: weights {weights / GIB:.1f} GiB.\n"
        "Nothing was run. Memory is counted from shapes for a prompt of text, weights included;\n"
        f"a GPU's context, workspaces and gaps come on top.\n\n{table}"
    )
