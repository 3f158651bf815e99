"""One context length: dense, hybrid and ceiling in turns in one process, phases apart."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.settings import Plan
from coreheads.bench.target import Target, Workload
from coreheads.doctor.memory import cache_bytes
from coreheads.timing.interleaved import dense_kernel, seconds_of, take_turns, time_kernels

SLOW = 20.0
"""Seconds of a dense prefill from which on fewer repeats are made."""
FEW = 5


@dataclass(frozen=True)
class Measured:
    """Seconds of every repeat: ``times[variant][phase]``, phases prefill, decode (a token), vision and preprocess.

    dense_kernel: by phase, the fastest; kernels: median seconds of every dense kernel tried, by phase.
    kv_bytes, peak_bytes: by variant; peak None where it cannot be had. repeats: as made.
    """

    repeats: int
    dense_kernel: dict[str, str]
    kernels: dict[str, dict[str, float]]
    times: dict[str, dict[str, list[float]]]
    kv_bytes: dict[str, int]
    peak_bytes: dict[str, int | None]


@torch.inference_mode()
def measure(target: Target, workload: Workload, hybrids: Mapping[str, Hybrid], plan: Plan) -> Measured:
    """Time dense attention and every hybrid with its ceiling on one prompt, in turns.

    The dense kernel is the fastest of those that this device has, found for prefill and decoding apart.
    """
    runner = Runner(target, workload, plan)
    with target.remembering():
        kernels = time_kernels(
            target.model, workload.tokens, lambda name: runner.dense({"prefill": name, "decode": name})
        )
        fastest = {phase: min(seconds, key=seconds.__getitem__) for phase, seconds in kernels.items()}
        repeats = plan.repeats if kernels["prefill"][fastest["prefill"]] <= SLOW else min(plan.repeats, FEW)
        runs = {"dense": partial(runner.dense, fastest)}
        for name, patch in hybrids.items():
            runs[name] = partial(runner.hybrid, name, patch)
            # with the same cache: but for the attention left out, all is what hybrid does
            runs[f"ceiling {name}"] = partial(runner.hybrid, None, patch)
        times, peaks = take_turns(runs, target.model.device, repeats, plan.warmup, target.memo.clear)
    for phase, shared in _same_for_all(target, workload, repeats, times["dense"]["vision"]).items():
        for phases in times.values():
            phases[phase] = shared
    return Measured(repeats, fastest, kernels, times, runner.kv_bytes, peaks)


def _same_for_all(target: Target, workload: Workload, repeats: int, vision: list[float]) -> dict[str, list[float]]:
    """Seconds of preprocessing and of the vision tower, which no variant changes; empty where not measured.

    vision: the tower's seconds within the runs; where it is no part of them, it is run on its own.
    """
    if workload.vision is not None:
        _, *vision = (seconds_of(workload.vision, target.model.device) for _ in range(1 + repeats))
    prepare = workload.prepare
    return {
        "preprocess": [] if prepare is None else [prepare() for _ in range(repeats)],
        "vision": vision if any(vision) else [],
    }


class Runner:
    """Runs one prompt under a variant; knows nothing of statistics."""

    def __init__(self, target: Target, workload: Workload, plan: Plan) -> None:
        self.target, self.workload, self.plan = target, workload, plan
        dense = cache_bytes(target.model.config, target.model.dtype, workload.tokens)
        self.kv_bytes = {"dense": dense * workload.batch}

    def dense(self, kernels: Mapping[str, str]) -> dict[str, float]:
        """All heads attend fully, by the kernels named for prefill and decode."""
        cache = self.target.cache(self.workload.tokens + self.plan.decode_tokens)
        model = self.target.model
        return self._run(cache, {phase: dense_kernel(model, name) for phase, name in kernels.items()})

    def hybrid(self, name: str | None, patch: Hybrid) -> dict[str, float]:
        """Selected heads attend fully, the others by sink and window; their keys are evicted.

        Without a name it is the ceiling, the attention of the heads not selected left out.
        """
        variant = patch if name else replace(patch, local=False)
        attention = {phase: variant(self.target.model) for phase in ("prefill", "decode")}
        return self._run(patch.cache(self.target.model), attention, name)

    def _run(
        self, cache: Any, attention: Mapping[str, AbstractContextManager[object]], name: str | None = None
    ) -> dict[str, float]:
        """Seconds of prefill without the vision tower, of a decoded token, and of the vision tower."""
        target, workload = self.target, self.workload
        clock = Clock(target.model.device, on=True)
        modules = [] if target.adapter is None else target.adapter.vision_modules
        with clock.watching(modules), attention["prefill"], clock.phase("prefill_s"):
            target.prefill(cache, workload, self.plan.prefill_chunk)
        if name:
            self.kv_bytes[name] = cache.bytes()
        first, *steps = (workload.next_token(number) for number in range(self.plan.decode_tokens))
        with attention["decode"]:
            target.forward(cache, **first)  # the first step may choose kernels
            with clock.phase("decode_s"):
                for step in steps:
                    target.forward(cache, **step)
        return {
            "prefill": clock.seconds["prefill_s"] - clock.seconds["vision_s"],
            "decode": clock.seconds["decode_s"] / len(steps),
            "vision": clock.seconds["vision_s"],
        }
