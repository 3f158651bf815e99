"""What memory a benchmark would take on a GPU, counted from shapes: no GPU, no weights, no numbers.

The model, its caches and the patches run on torch's meta device, where tensors have shapes alone, with FlashAttention
as their kernel; every tensor that is made is counted until it is let go. What comes on top on a real GPU: the CUDA
context, kernels' workspaces and the allocator's gaps, together some percent.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.kernels import autotune, flash
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.series import Entry
from coreheads.bench.target import Target
from coreheads.bench.timing import Plan
from coreheads.errors import UserError
from coreheads.timing.interleaved import OWN, dense_kernel

KERNEL = "varlen"
GIB = 1 << 30
STEPS = 2
"""Tokens decoded after the prompt: buffers that grow have grown by then."""


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors made inside the block that are still held: now, at most; and those of the largest one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.largest = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(made, Tensor):
                self._note(made)
        return result

    def _note(self, made: Tensor) -> None:
        storage = made.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self._known:
            return
        self._known.add(name)
        weakref.finalize(storage, self._free, name, size)
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)

    def _free(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


@dataclass(frozen=True)
class Need:
    """Bytes beside the weights for a prompt and a few tokens: at most, kept in the cache, of the largest tensor."""

    peak: int
    cache: int
    largest: int


def need(target: Target, tokens: int, plan: Plan, patch: Hybrid | None = None) -> Need:
    """Of a model on the meta device (``bench_target.shapes``); dense attention without ``patch``.

    UserError where this torch has no kernel that tells its shapes.
    """
    if KERNEL not in flash.kernels():
        raise UserError(f"--dry-run needs torch 2.11 or newer (varlen_attn with a window), this is {torch.__version__}")
    inputs = target.workload(tokens, plan.batch).inputs
    with torch.inference_mode(), ExitStack() as stack:
        stack.enter_context(autotune.forced(full=KERNEL, window=KERNEL))
        stack.enter_context(dense_kernel(target.model, OWN) if patch is None else patch(target.model))
        counted = stack.enter_context(Allocations())
        cache: Any = PreallocatedCache(target.shape[0], tokens + STEPS) if patch is None else patch.cache(target.model)
        with ExitStack() as inner:
            if plan.prefill_chunk is not None:
                inner.enter_context(chunked_prefill(target.model, plan.prefill_chunk))
            target.forward(cache, **inputs)
        for step in range(STEPS):
            place = torch.full_like(inputs["position_ids"][..., -1:], tokens + step)
            target.forward(cache, input_ids=inputs["input_ids"][:, :1], position_ids=place)
        return Need(counted.peak, counted.now, counted.largest)


def weights(target: Target) -> int:
    """Bytes of the model's parameters."""
    return sum(part.numel() * part.element_size() for part in target.model.parameters())


def report(
    target: Target,
    contexts: Sequence[int],
    compared: Sequence[Entry],
    plan: Plan,
    say: Callable[[str], None] = lambda line: None,
) -> str:
    """A table of GiB: weights, and at the peak of every context and variant, weights included."""
    from tabulate import tabulate

    own, lines = weights(target), []
    variants: list[tuple[str, Callable[[int], Need]]] = [("dense", lambda tokens: need(target, tokens, plan))]
    for entry in compared:
        variants.append((entry.name, partial(need, target, plan=plan, patch=entry.patch)))
    for tokens in sorted(contexts):
        for name, count in variants:
            found = count(tokens)
            lines.append([f"{tokens:,}", name, *(f"{size / GIB:.1f}" for size in (own + found.peak, found.cache))])
        say(f"{tokens:,} tokens: counted")
    pieces = "" if plan.prefill_chunk is None else f", in pieces of {plan.prefill_chunk:,} tokens"
    head = f"{target.name}, {str(target.dtype).removeprefix('torch.')}, batch {plan.batch}{pieces}"
    table = tabulate(lines, headers=["tokens", "attention", "peak, GiB", "KV cache, GiB"], disable_numparse=True,
                     colalign=("right", "left", "right", "right"))  # fmt: skip
    return (
        f"{head}: weights {own / GIB:.1f} GiB.\n"
        "Nothing was run. Memory is counted from shapes for a prompt of text, weights included;\n"
        f"a GPU's context, workspaces and gaps come on top.\n\n{table}"
    )
