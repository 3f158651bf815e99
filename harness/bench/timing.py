"""One context length: dense, hybrid and ceiling in turns in one process, phases apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.target import Target, Workload
from coreheads.timing.interleaved import OWN, PROBES, dense_kernel, dense_kernels, peak_memory

SLOW = 20.0
"""Seconds of a dense prefill from which on fewer repeats are made."""
FEW = 5
QUICK = 5.0
"""Seconds of a dense prefill up to which a kernel is tried more than twice before one is chosen."""


@dataclass(frozen=True)
class Plan:
    """How often and how much. prefill_chunk: tokens of a prompt computed at a time, None: all."""

    repeats: int = 10
    warmup: int = 1
    decode_tokens: int = 16
    batch: int = 1
    prefill_chunk: int | None = None


@dataclass
class Measured:
    """Seconds a repeat: ``times[variant][phase]``, phases prefill, decode (a token), vision and preprocess.

    dense_kernel: by phase, the fastest; kernels: median seconds of every dense kernel tried, by phase.
    kv_bytes, peak_bytes: by variant; peak None where it cannot be had. repeats: as made.
    """

    workload: Workload
    repeats: int
    dense_kernel: dict[str, str]
    kernels: dict[str, dict[str, float]]
    times: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    kv_bytes: dict[str, int] = field(default_factory=dict)
    peak_bytes: dict[str, int | None] = field(default_factory=dict)


@torch.inference_mode()
def measure(target: Target, tokens: int, hybrids: Mapping[str, Hybrid], plan: Plan) -> Measured:
    """Time dense attention and every hybrid with its ceiling on a prompt of ``tokens`` tokens.

    The dense kernel is the fastest of those that this device has, found for prefill and decoding apart. In each repeat
    all variants take their turn, each repeat beginning with another one.
    """
    workload = target.workload(tokens, plan.batch)
    runner = _Runner(target, workload, plan)
    with target.remembering():
        kernels = runner.dense_kernels()
        fastest = {phase: min(seconds, key=lambda name: seconds[name]) for phase, seconds in kernels.items()}
        repeats = plan.repeats if kernels["prefill"][fastest["prefill"]] <= SLOW else min(plan.repeats, FEW)
        turns: dict[str, Callable[[], dict[str, float]]] = {"dense": partial(runner.dense, fastest)}
        for name, patch in hybrids.items():
            turns[name] = partial(runner.hybrid, name, patch)
            turns[f"ceiling {name}"] = partial(runner.ceiling, patch)
        result = Measured(workload, repeats, fastest, kernels)
        _in_turns(target, runner, turns, plan.warmup, result)
    result.kv_bytes = runner.kv_bytes
    _phases_of_all(target, workload, result)
    return result


def _in_turns(
    target: Target, runner: _Runner, turns: Mapping[str, Callable[[], dict[str, float]]], warmup: int, result: Measured
) -> None:
    names = list(turns)
    result.times = {name: {"prefill": [], "decode": [], "vision": [], "preprocess": []} for name in names}
    result.peak_bytes = dict.fromkeys(names)
    for name in names:
        for _ in range(warmup):
            turns[name]()
    for repeat in range(result.repeats):
        target.memo.clear()
        first = repeat % len(names)
        seeing = 0.0
        for name in names[first:] + names[:first]:
            with peak_memory(target.device) as peak:
                spent = turns[name]()
            seeing = max(seeing, spent.pop("vision"))
            for phase, seconds in spent.items():
                result.times[name][phase].append(seconds)
            most = peak()
            if most is not None:
                result.peak_bytes[name] = max(most, result.peak_bytes[name] or 0)
        if seeing:
            for name in names:
                result.times[name]["vision"].append(seeing)


def _phases_of_all(target: Target, workload: Workload, result: Measured) -> None:
    """Preprocessing, and the vision tower on its own: no variant changes them, one measurement is everyone's."""
    if workload.prepare is not None:
        prepared = [workload.prepare() for _ in range(result.repeats)]
        for times in result.times.values():
            times["preprocess"] = prepared
    if workload.vision is not None:
        clock = Clock(target.device, on=True)
        workload.vision()
        seen = []
        for _ in range(result.repeats):
            started = clock.now()
            workload.vision()
            seen.append(clock.now() - started)
        for times in result.times.values():
            times["vision"] = seen


class _Runner:
    """Runs one prompt under a variant; knows nothing of statistics."""

    def __init__(self, target: Target, workload: Workload, plan: Plan) -> None:
        self.target, self.workload, self.plan = target, workload, plan
        self.kv_bytes: dict[str, int] = {}
        self.token = torch.zeros(plan.batch, 1, dtype=torch.long, device=target.device)

    def dense_kernels(self) -> dict[str, dict[str, float]]:
        """Median seconds of {"prefill", "decode"} of every dense kernel that fits; OutOfMemoryError where none does."""
        found: dict[str, dict[str, float]] = {"prefill": {}, "decode": {}}
        failure: torch.OutOfMemoryError | None = None
        for name in [*dense_kernels(self.target, self.workload.tokens), OWN]:
            try:
                runs = self._tries({"prefill": name, "decode": name})
            except torch.OutOfMemoryError as error:
                failure = error.with_traceback(None)  # its frames hold on to what did fit
            else:
                for phase, seconds in found.items():
                    seconds[name] = median(run[phase] for run in runs)
                continue
            torch.cuda.empty_cache()
        if failure is not None and not found["prefill"]:
            raise failure
        return found

    def _tries(self, kernels: Mapping[str, str]) -> list[dict[str, float]]:
        first = self.dense(kernels)
        return [self.dense(kernels) for _ in range(PROBES if first["prefill"] <= QUICK else 1)]

    def dense(self, kernels: Mapping[str, str]) -> dict[str, float]:
        """All heads attend fully."""
        cache = self._roomy()
        self.kv_bytes["dense"] = 0
        spent = self._run(cache, lambda: self._dense(kernels["prefill"]), lambda: self._dense(kernels["decode"]))
        self.kv_bytes["dense"] = sum(_bytes(layer, self.workload.tokens) for layer in cache.layers)
        return spent

    def hybrid(self, name: str, patch: Hybrid) -> dict[str, float]:
        """Selected heads attend fully, the others by sink and window; their keys are evicted."""
        cache = patch.cache(self.target.model)

        def note() -> None:
            self.kv_bytes[name] = cache.bytes()

        inside = lambda: patch(self.target.model)  # noqa: E731
        return self._run(cache, inside, inside, note)

    def ceiling(self, patch: Hybrid) -> dict[str, float]:
        """The attention of the heads not selected left out, with the same cache: all else is what hybrid does."""
        from dataclasses import replace

        inside = lambda: replace(patch, local=False)(self.target.model)  # noqa: E731
        return self._run(patch.cache(self.target.model), inside, inside)

    def _roomy(self) -> PreallocatedCache:
        return PreallocatedCache(self.target.shape[0], self.workload.tokens + self.plan.decode_tokens)

    def _dense(self, kernel: str) -> AbstractContextManager[Any]:
        return dense_kernel(self.target.model, kernel)

    def _run(
        self,
        cache: Any,
        prefill: Callable[[], AbstractContextManager[Any]],
        decode: Callable[[], AbstractContextManager[Any]],
        between: Callable[[], None] = lambda: None,
    ) -> dict[str, float]:
        """Seconds of prefill without the vision tower, of a decoded token, and of the vision tower."""
        clock = Clock(self.target.device, on=True)
        modules = [] if self.target.adapter is None else self.target.adapter.vision_modules
        with ExitStack() as stack:
            stack.enter_context(clock.watching(modules))
            stack.enter_context(prefill())
            if self.plan.prefill_chunk is not None:
                stack.enter_context(chunked_prefill(self.target.model, self.plan.prefill_chunk))
            with clock.phase("prefill_s"):
                self._forward(cache, **self.workload.inputs)
        between()
        with decode():
            self._step(cache, 0)  # the first step may choose kernels
            with clock.phase("decode_s"):
                for number in range(1, self.plan.decode_tokens):
                    self._step(cache, number)
        seconds = clock.seconds
        return {
            "prefill": seconds["prefill_s"] - seconds["vision_s"],
            "decode": seconds["decode_s"] / (self.plan.decode_tokens - 1),
            "vision": seconds["vision_s"],
        }

    def _step(self, cache: Any, number: int) -> None:
        positions = self.workload.inputs["position_ids"][..., -1:]
        place = torch.full_like(positions, self.workload.after + number)
        self._forward(cache, input_ids=self.token, position_ids=place)

    def _forward(self, cache: Any, **inputs: Any) -> None:
        self.target.forward(cache, **inputs)


def _bytes(layer: Any, tokens: int) -> int:
    keys = layer.keys[:, :, :tokens]
    return 2 * int(keys.numel() * keys.element_size())


def end_to_end(times: Mapping[str, Sequence[float]], decode_tokens: int) -> list[float]:
    """Seconds a repeat from media to the last of ``decode_tokens`` tokens, of the phases that were measured."""
    repeats = len(times["prefill"])
    parts = [times[phase] or [0.0] * repeats for phase in ("preprocess", "vision", "prefill")]
    return [sum(row[:-1]) + decode_tokens * row[-1] for row in zip(*parts, times["decode"], strict=True)]
