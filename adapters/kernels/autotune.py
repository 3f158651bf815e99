"""Which implementation of an attention pattern runs: the fastest that works here, found by measuring it.

On a CPU there is one implementation of each pattern and nothing is measured. On a GPU the candidates are tried on the
tensors at hand when a shape is first met; one that cannot run, or whose output differs from the reference
implementation's, is left out. The choice is kept for the process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from statistics import median

import torch
from torch import Tensor

from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.work import metered
from coreheads.adapters.kernels.gqa import read_by

Kernel = Callable[..., Tensor]
"""(query, key, value, scaling, *pattern) -> [B, Q, H, D]."""

GPUS = ("cuda", "meta")
"""Device types with a GPU's kernels. On the meta device tensors have shapes alone: nothing can be measured there, but
with kernels named (``forced``) what they would allocate can be counted."""
PROBES = 3
ROWS = 4096
"""Rows compared at a time."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 8e-3, torch.float16: 4e-3}
"""How far a head of a candidate may lie from the reference: the mean of its rows' errors, each over its row's length.
Two that round to bfloat16 differ by 0.004, windows of 1,024 and 1,025 keys by 0.011 over 3,000 tokens."""
LARGEST = {torch.float32: 1e-3, torch.bfloat16: 4e-2, torch.float16: 1e-2}
"""How far any single number may be off, of the output's largest magnitude."""


@dataclass(frozen=True)
class Choice:
    """What measuring a shape gave: the fastest candidate, median seconds a call, why some were left out."""

    name: str
    seconds: Mapping[str, float]
    failed: Mapping[str, str]


_CHOICES: dict[tuple[object, ...], Choice] = {}
_FORCED: ContextVar[Mapping[str, str]] = ContextVar("forced kernels", default={})  # noqa: B039 - never changed in place


def run(kind: str, candidates: Mapping[str, Kernel], query: Tensor, key: Tensor, *rest: object) -> Tensor:
    """The output [B, Q, H, D] of the chosen candidate.

    Args:
        kind: Name of the pattern, for ``forced`` and ``choices``.
        candidates: Implementations by name; the first is the reference for the others.
        query: [B, H, Q, D].
        key: [B, Hkv, K, D].
        rest: What a candidate takes after them: value [B, Hkv, K, D], scaling, and the pattern's numbers.

    Raises:
        ValueError: If the forced candidate is not among them.
        RuntimeError: If none of them runs here; torch.OutOfMemoryError where memory was short.
    """
    forced = _FORCED.get().get(kind)
    if forced is not None:
        if forced not in candidates:
            raise ValueError(f"{kind} kernel {forced!r} is not to be had here, expected one of {', '.join(candidates)}")
        return candidates[forced](query, key, *rest)
    if len(candidates) == 1:
        return next(iter(candidates.values()))(query, key, *rest)
    signature = _signature(kind, query, key, rest)
    if signature not in _CHOICES:
        with metered(None):  # what is tried out is no part of the prompt's work
            _CHOICES[signature] = _measure(candidates, query, key, rest)
    return candidates[_CHOICES[signature].name](query, key, *rest)


@contextmanager
def forced(**kernels: str) -> Iterator[None]:
    """Inside the block the pattern ``kind`` is computed by the candidate of that name: ``forced(full="sdpa")``."""
    token = _FORCED.set({**_FORCED.get(), **kernels})
    try:
        yield
    finally:
        _FORCED.reset(token)


def choices() -> dict[str, Choice]:
    """What was measured in this process so far, by a readable signature."""
    return {" ".join(str(part) for part in signature): result for signature, result in _CHOICES.items()}


def _signature(kind: str, query: Tensor, key: Tensor, rest: tuple[object, ...]) -> tuple[object, ...]:
    """Shapes that share a choice: lengths count by their power of two, heads by how many there are and how many KV
    heads nothing but they read."""
    repeats = query.shape[1] // key.shape[1]
    lengths = (query.shape[2].bit_length(), key.shape[2].bit_length(), query.shape[2] == key.shape[2])
    pattern = [part for part in rest if isinstance(part, int)]
    pattern += [count for part in rest if isinstance(part, tuple) for count in (len(part), len(read_by(part, repeats)))]
    heads = (query.shape[0], query.shape[1], key.shape[1], query.shape[3])
    return (kind, _model_of(query.device), str(query.dtype), *heads, *lengths, *pattern)


@cache
def _model_of(device: torch.device) -> str:
    """What devices of one kind share: the layers of a model that is split over them are to attend by one kernel."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _measure(candidates: Mapping[str, Kernel], query: Tensor, key: Tensor, rest: tuple[object, ...]) -> Choice:
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    reference: Tensor | None = None
    memory: torch.OutOfMemoryError | None = None
    for name, candidate in candidates.items():
        try:
            output = candidate(query, key, *rest)
            if reference is None:
                reference = output
            elif not agrees(output, reference):
                failed[name] = "its output differs from the reference"
                warnings.warn(f"attention kernel {name} left out: {failed[name]}", stacklevel=2)
                continue
            seconds[name] = median(_timed(candidate, query, key, rest) for _ in range(PROBES))
        except torch.OutOfMemoryError as error:
            failed[name], memory = "out of memory", error.with_traceback(None)
        except Exception as error:  # whatever a backend says when it has no kernel for a shape or device
            failed[name] = (str(error).strip() or type(error).__name__).splitlines()[0]
    if not seconds and memory is not None:
        raise memory
    if not seconds:
        raise RuntimeError(f"no attention kernel runs here: {failed}")
    return Choice(min(seconds, key=lambda name: seconds[name]), seconds, failed)


def agrees(output: Tensor, reference: Tensor) -> bool:
    """Whether two results [B, Q, H, D] are one up to rounding; NaN agrees with nothing.

    Some rows at a time: long prompts are met when a GPU's memory is nearly full.
    """
    if output.shape != reference.shape:
        return False
    tolerance, most = (limits.get(reference.dtype, 1e-9) for limits in (TOLERANCE, LARGEST))
    sums, peaks = [], []
    for one, other in zip(torch.split(output, ROWS, 1), torch.split(reference, ROWS, 1), strict=True):
        exact = torch.promote_types(other.dtype, torch.float32)
        got, expected = one.to(exact), other.to(exact)
        sums.append(relative_errors(got, expected).sum((0, 1)))
        peaks.append(torch.stack([(got - expected).abs().amax(), expected.abs().amax()]))
    mean = torch.stack(sums).sum(0).amax() / (reference.shape[0] * reference.shape[1])
    difference, largest = torch.stack(peaks).amax(0)
    return bool((mean <= tolerance) & (difference <= most * largest))


def relative_errors(output: Tensor, expected: Tensor) -> Tensor:
    """Length of the difference over that of the expected vector: [..., D] -> [...]; 0 where both are 0."""
    length: Tensor = torch.linalg.vector_norm(expected, dim=-1)
    errors: Tensor = torch.linalg.vector_norm(output - expected, dim=-1)
    return errors / length.clamp_min(torch.finfo(length.dtype).tiny)


def _timed(candidate: Kernel, query: Tensor, key: Tensor, rest: tuple[object, ...]) -> float:
    clock = Clock([query.device], on=True)
    started = clock.now()
    candidate(query, key, *rest)
    return clock.now() - started
