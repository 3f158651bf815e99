"""One context length: dense, hybrid and ceiling in turns in one process, phases apart."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, TypedDict

import torch

from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.devices import model_devices
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.settings import Plan
from coreheads.bench.target import Target, Workload
from coreheads.doctor.memory import cache_bytes
from coreheads.timing.interleaved import dense_kernel, seconds_of, take_turns, time_kernels

SLOW = 20.0
"""Seconds of a dense prefill from which on fewer repeats are made."""
FEW = 5


class Measured(TypedDict):
    """What was measured at one context length; variants are dense, every entry, and ``ceiling <entry>``."""

    dense_kernels: dict[str, dict[str, float]]
    """``[phase][kernel]``, median seconds of the dense kernels tried, of prefill and of a decoded token."""
    seconds: dict[str, dict[str, list[float]]]
    """``[variant][phase]``, of every repeat; the phases are prefill, decode (a token), vision and preprocess."""
    kv_bytes: dict[str, int]
    """By variant but the ceilings, after the prompt."""
    peak_bytes: dict[str, int | None]
    """By variant, the most allocated, summed over devices; null where they are no GPUs."""


def fastest_kernels(dense_kernels: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The fastest dense kernel of each phase."""
    return {phase: min(seconds, key=seconds.__getitem__) for phase, seconds in dense_kernels.items()}


@torch.inference_mode()
def measure(target: Target, workload: Workload, hybrids: Mapping[str, Hybrid], plan: Plan) -> Measured:
    """Time dense attention and every hybrid with its ceiling on one prompt, in turns.

    The dense kernel is the fastest of those that this device has, found for prefill and decoding apart.
    """
    runner = Runner(target, workload, plan)
    devices = model_devices(target.model)
    with target.remembering():
        kernels = time_kernels(
            target.model, workload.tokens, lambda name: runner.dense({"prefill": name, "decode": name})
        )
        repeats = plan.repeats if min(kernels["prefill"].values()) <= SLOW else min(plan.repeats, FEW)
        runs = {"dense": partial(runner.dense, fastest_kernels(kernels))}
        for name, patch in hybrids.items():
            runs[name] = partial(runner.hybrid, name, patch)
            # with the same cache: but for the attention left out, all is what hybrid does
            runs[f"ceiling {name}"] = partial(runner.hybrid, None, patch)
        times, peaks = take_turns(runs, devices, repeats, plan.warmup, target.vision_cache.clear)
    most = {name: None if held is None else held.total for name, held in peaks.items()}
    # no variant changes preprocessing and the vision tower, which is run on its own where it is no part of the runs
    vision, prepare = times["dense"]["vision"], workload.prepare
    if workload.vision is not None:
        _, *vision = (seconds_of(workload.vision, devices) for _ in range(1 + repeats))
    preprocess = [] if prepare is None else [prepare() for _ in range(repeats)]
    for phases in times.values():
        phases.update(preprocess=preprocess, vision=vision if any(vision) else [])
    return {"dense_kernels": kernels, "seconds": times, "kv_bytes": runner.kv_bytes, "peak_bytes": most}


class Runner:
    """Runs one prompt under a variant; knows nothing of statistics."""

    def __init__(self, target: Target, workload: Workload, plan: Plan) -> None:
        self.target, self.workload, self.plan = target, workload, plan
        self.devices = model_devices(target.model)
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
        clock = Clock(self.devices, on=True)
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
