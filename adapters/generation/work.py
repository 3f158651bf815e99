"""What reading a prompt costs, counted by what is there anyway: layers, kernels, choices and caches.

A patch's own claims are not asked. Counting is on inside ``counting`` only; elsewhere nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from coreheads.adapters.generation.structure import head_shape, language_model


@dataclass(frozen=True)
class Work:
    """Of one prompt, up to its first new token, as if it had been read alone and without padding.

    Attributes:
        tokens: How many entered each layer.
        pairs: Query-key pairs that attention kernels were given, over all layers and heads; of the model's own kernel
            those that are visible.
        choice_flops: FLOPs of the matrix products by which patches chose tokens or keys.
        kv_bytes: Bytes of the keys and values that the cache then holds; room to grow does not count.
    """

    tokens: tuple[int, ...]
    pairs: float
    choice_flops: float
    kv_bytes: int


Like = Callable[[], Hashable]
"""Who chooses among what, as far as the shapes of products depend on it."""


class Meter(Protocol):
    """Looks at what happens while a prompt is read."""

    def choosing(self, sample: int, like: Like, device: torch.device) -> Any:
        """As the function ``choosing``."""


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(meter: Meter | None) -> Iterator[None]:
    """Inside the block this meter looks, or none."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


@contextmanager
def choosing(sample: int, like: Like, device: torch.device) -> Iterator[None]:
    """Around all that a patch computes on a device to choose tokens or keys of a sample of the batch."""
    meter = _METER.get()
    if meter is None:
        yield
    else:
        with meter.choosing(sample, like, device):
            yield


@contextmanager
def of_sample(sample: int) -> Iterator[None]:
    """The pairs that are noted inside the block are this sample's."""
    tally = _METER.get()
    if not isinstance(tally, Tally):
        yield
        return
    before, tally.samples = tally.samples, (sample,)
    try:
        yield
    finally:
        tally.samples = before


def note_pairs(pairs: int, samples: Sequence[int] | None = None) -> None:
    """A kernel was given so many pairs, of these samples in equal parts; None: of all that are worked on."""
    tally = _METER.get()
    if isinstance(tally, Tally):
        samples = tally.samples if samples is None else samples
        for sample in samples:
            tally.pairs[sample] += pairs / len(samples)


def by_own_kernels(layer: int) -> None:
    """A layer's attention is by kernels that note their pairs."""
    tally = _METER.get()
    if isinstance(tally, Tally):
        tally.noted.add(layer)


_KNOWN: dict[Hashable, int] = {}
"""FLOPs of what was counted once."""


class Tally:
    """Counts of forward calls of one batch of ``rows`` samples."""

    def __init__(self, model: nn.Module, rows: int) -> None:
        layers, self.heads, _ = head_shape(model)
        self.samples: Sequence[int] = range(rows)
        self.tokens = [0] * layers
        self.noted: set[int] = set()
        self.pairs = [0.0] * rows
        self.flops = [0.0] * rows

    def entered(self, layer: int, _module: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> None:
        """A hook before a layer."""
        hidden: Tensor = args[0] if args else call["hidden_states"]
        self.tokens[layer] += hidden.shape[1]

    @contextmanager
    def choosing(self, sample: int, like: Like, device: torch.device) -> Iterator[None]:
        """Count the FLOPs of the block, once for all blocks that are alike: looking at every call takes its time."""
        key = like()
        if key in _KNOWN:
            yield
        else:
            with _Products() as products:
                yield
            _KNOWN[key] = products.flops
        self.flops[sample] += _KNOWN[key]

    def works(self, lengths: Sequence[int], cache: Any, before: Work | None = None) -> list[Work]:
        """What each sample of so many tokens cost, which the cache now holds, padded on the left.

        before: what the beginning cost that the cache held already.
        """
        longest = max(lengths)
        return [self._work(row, longest - length, cache, before) for row, length in enumerate(lengths)]

    def _work(self, row: int, padding: int, cache: Any, before: Work | None) -> Work:
        tokens = [count - padding for count in self.tokens]
        held = before.tokens if before else (0,) * len(tokens)
        pairs = self.pairs[row] + sum(
            self.heads * (new * old + new * (new + 1) // 2)
            for layer, (new, old) in enumerate(zip(tokens, held, strict=True))
            if layer not in self.noted
        )
        return Work(
            tuple(new + old for new, old in zip(tokens, held, strict=True)),
            pairs + (before.pairs if before else 0),
            self.flops[row] + (before.choice_flops if before else 0),
            sum(held_bytes(layer, row, padding) for layer in cache.layers),
        )


@contextmanager
def counting(model: nn.Module, rows: int, on: bool = True) -> Iterator[Tally | None]:
    """Count what forward calls of the model on ``rows`` samples are given inside the block, where ``on``.

    To be entered within the blocks of patches, whose hooks then act before the tokens are counted.
    """
    if not on:
        yield None
        return
    tally = Tally(model, rows)
    layers: Any = language_model(model).layers
    hooks = [
        layer.register_forward_pre_hook(partial(tally.entered, number), with_kwargs=True)
        for number, layer in enumerate(layers)
    ]
    try:
        with metered(tally):
            yield tally
    finally:
        for hook in hooks:
            hook.remove()


def held_bytes(layer: Any, row: int, padding: int) -> int:
    """Bytes of the keys and values that a cache's layer holds of a sample of its batch, without its padding.

    A layer that holds more or other tensors than transformers' own says so by ``bytes_of(row, padding)``.
    """
    if hasattr(layer, "bytes_of"):
        return int(layer.bytes_of(row, padding))
    return sum(states[row, :, padding:].nbytes for states in (layer.keys, layer.values))


class _Products(TorchFunctionMode):
    """Adds up the FLOPs of matrix products, as they are called: two for each number of the result and term of its sum.

    Calls are looked at, not what they are made of: that would take longer than a small model's choice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _LEFT:
            self.flops += 2 * output.numel() * args[_LEFT[func]].shape[-1]
        elif func is torch.einsum:
            self.flops += 2 * _terms(*args)
        elif func is scaled_dot_product_attention:
            query, key = args[:2]
            self.flops += 2 * key.shape[-2] * (query.numel() + output.numel())
        return output


_FIRST: tuple[Any, ...] = (torch.matmul, torch.mm, torch.bmm, torch.mv, torch.dot, torch.inner, linear)
_METHODS: tuple[Any, ...] = (Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm, Tensor.mv, Tensor.dot)
_ADDED: tuple[Any, ...] = (torch.addmm, torch.baddbmm, torch.addmv, Tensor.addmm, Tensor.baddbmm, Tensor.addmv)
_LEFT: dict[Any, int] = {**dict.fromkeys((*_FIRST, *_METHODS, Tensor.inner), 0), **dict.fromkeys(_ADDED, 1)}
"""Products by which argument is the left factor [..., K]."""


def _terms(equation: str, *factors: Any) -> int:
    """Products of numbers in an ``einsum``."""
    tensors = factors[0] if len(factors) == 1 and not isinstance(factors[0], Tensor) else factors
    sizes: dict[str, int] = {}
    for names, tensor in zip(equation.replace(" ", "").split("->")[0].split(","), tensors, strict=True):
        first, _, last = names.partition("...")
        free = tensor.ndim - len(first) - len(last)
        # the dimensions of an ellipsis are counted from the end
        labels = [*first, *(f"-{number}" for number in range(free, 0, -1)), *last]
        for label, size in zip(labels, tensor.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return prod(sizes.values())
