"""Beside the phases: what measuring RAM costs, and the longest context that fits."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from statistics import median
from typing import NotRequired, TypedDict

import torch

from coreheads.adapters.generation.devices import input_device, model_devices, synchronize
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.heads import with_dense
from coreheads.bench.settings import Settings
from coreheads.bench.target import Target, Workload
from coreheads.bench.timing import FEW, SLOW
from coreheads.retrieval.ram import attention_mass
from coreheads.stats.bootstrap import ratio_of_medians_ci
from coreheads.timing.interleaved import EAGER_TOKENS, OWN, dense_kernel, seconds_of, take_turns

QUERY_ROWS = 32
"""Rows of the question whose attention is measured."""
TARGETS = 256
"""Target tokens."""
SHORTEST = 1024
"""Tokens to which the longest context is told."""
SEARCH = 180.0
"""Seconds of the search for the longest context, a variant."""
EAGER_TOKENS_GPU = 8192
"""Longest prompt at which eager attention is tried on a GPU."""


class Prefill(TypedDict):
    """A prefill over the plain one."""

    seconds: float
    """Median."""
    repeats: int
    time_ratio: float
    """Of the medians, to the plain prefill."""
    time_ratio_ci: list[float]
    """95 %, [low, high]."""
    peak_bytes: int | None
    """Most bytes allocated; null where the device is no GPU."""
    peak_ratio: float | None


class RamCost(TypedDict):
    """What RAM costs at one context length."""

    context: int
    """Tokens of the prompt."""
    rows: int
    """Query rows measured."""
    targets: int
    """Target tokens."""
    plain: Prefill
    """Prefill alone."""
    ram: Prefill
    """With the attention mass of the query rows beside it."""
    eager: NotRequired[Prefill]
    """By eager attention that gives all its weights, where that fits."""


def ram_cost(target: Target, settings: Settings, say: Callable[[str], None]) -> list[RamCost]:
    """Measure per context, in turns in one process; a context at which RAM does not fit ends the series."""
    costs: list[RamCost] = []
    for context in sorted(settings.contexts):
        prefills = _prefills(target, target.workload(context), settings.plan.repeats)
        if not {"plain", "ram"} <= set(prefills):
            say(f"RAM at {context:,} tokens: does not fit into memory")
            break
        cost = RamCost(context=context, rows=QUERY_ROWS, targets=TARGETS, plain=prefills["plain"], ram=prefills["ram"])
        if "eager" in prefills:
            cost["eager"] = prefills["eager"]
        costs.append(cost)
        say(f"RAM at {context:,} tokens: {cost['ram']['time_ratio']:.2f}x the time of a plain prefill")
    return costs


def _prefills(target: Target, workload: Workload, repeats: int) -> dict[str, Prefill]:
    """Of those that fit, where the plain one does."""
    devices = model_devices(target.model)
    runs: dict[str, Callable[[Target, Workload], None]] = {"plain": _plain, "ram": _ram}
    if workload.tokens <= (EAGER_TOKENS_GPU if devices[0].type == "cuda" else EAGER_TOKENS):
        runs["eager"] = _eager

    def timed(run: Callable[[Target, Workload], None]) -> dict[str, float]:
        return {"prefill": seconds_of(partial(run, target, workload), devices)}

    fitting: dict[str, Callable[[], dict[str, float]]] = {}
    slowest = 0.0
    with target.remembering():
        for name, run in runs.items():
            try:
                slowest = max(slowest, timed(run)["prefill"])
                fitting[name] = partial(timed, run)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        if "plain" not in fitting:
            return {}
        times, peaks = take_turns(fitting, devices, repeats if slowest <= SLOW else min(repeats, FEW), warmup=1)
    prefills = {}
    for name, phases in times.items():
        ratio, low, high = ratio_of_medians_ci(phases["prefill"], times["plain"]["prefill"])
        peak, plain = (None if held is None else held.total for held in (peaks[name], peaks["plain"]))
        prefills[name] = Prefill(
            seconds=median(phases["prefill"]),
            repeats=len(phases["prefill"]),
            time_ratio=ratio,
            time_ratio_ci=[low, high],
            peak_bytes=peak,
            peak_ratio=peak / plain if peak and plain else None,
        )
    return prefills


@torch.inference_mode()
def _plain(target: Target, workload: Workload) -> None:
    # the same kernel on both sides: a GPU has several, of which patches take the fastest
    with dense_kernel(target.model, OWN) if input_device(target.model).type == "cuda" else nullcontext():
        target.model(**workload.inputs, use_cache=False, logits_to_keep=1)


def _ram(target: Target, workload: Workload) -> None:
    rows = torch.arange(max(0, workload.tokens - QUERY_ROWS), workload.tokens)
    columns = torch.arange(min(TARGETS, workload.tokens))
    attention_mass(target.model, workload.inputs, rows, [columns])


@torch.inference_mode()
def _eager(target: Target, workload: Workload) -> None:
    with dense_kernel(target.model, "eager"):
        target.model(**workload.inputs, use_cache=False, logits_to_keep=1, output_attentions=True)


def longest(target: Target, settings: Settings, say: Callable[[str], None]) -> dict[str, int | None]:
    """The longest prompt that was answered within the GPU's memory, by variant; at least that fits.

    The search ends at steps of SHORTEST tokens, or when a variant has taken SEARCH seconds.
    """
    if input_device(target.model).type != "cuda":
        say("The longest context is looked for on a GPU only")
        return {}
    patches, start = with_dense(target, settings), max(settings.contexts)
    return {name: largest(partial(_answer, target, patch), start) for name, patch in patches.items()}


def largest(
    run: Callable[[int], None],
    start: int,
    limit: int = 1 << 21,
    seconds: float = SEARCH,
    clock: Callable[[], float] = time.perf_counter,
) -> int | None:
    """The most tokens at which ``run`` did not run out of memory, to SHORTEST tokens; None if not even those fit.

    It ends sooner where another try would probably go beyond ``seconds``.
    """
    good, bad, began, last = 0, limit + SHORTEST, clock(), 0.0
    tokens = max(SHORTEST, start // SHORTEST * SHORTEST)
    while bad - good > SHORTEST and clock() - began + 2 * last <= seconds:
        tried = clock()
        try:
            run(tokens)
            good = tokens
        except torch.OutOfMemoryError:
            bad = tokens
        if torch.cuda.is_available():
            synchronize(torch.device("cuda", number) for number in range(torch.cuda.device_count()))
            gc.collect()  # what an error's traceback held on to
            torch.cuda.empty_cache()
        last = clock() - tried
        tokens = min(good * 2, limit) if bad > limit and good < limit else (good + bad) // 2 // SHORTEST * SHORTEST
        if tokens in (good, bad):
            break
    return good or None


@torch.inference_mode()
def _answer(target: Target, patch: Hybrid | None, tokens: int) -> None:
    """Prefill and one decoded token."""
    workload = target.workload(tokens)
    cache = target.cache(tokens + 1, patch)
    with target.remembering(), nullcontext() if patch is None else patch(target.model):
        target.prefill(cache, workload)
        target.forward(cache, **workload.next_token(0))


def report(costs: Sequence[RamCost], longest: Mapping[str, int | None]) -> str:
    """Both in words, where they were measured."""
    lines = []
    for cost in costs:
        parts = {"with RAM": cost["ram"]}
        if "eager" in cost:
            parts["with eager attention and its weights"] = cost["eager"]
        for what, part in parts.items():
            peak = "" if part["peak_ratio"] is None else f", {part['peak_ratio']:.2f}x its peak memory"
            low, high = part["time_ratio_ci"]
            ratio = f"{part['time_ratio']:.2f}x [{low:.2f}, {high:.2f}]"
            lines.append(f"{cost['context']:,} tokens, prefill {what}: {ratio} the time of a plain one{peak}")
    for name, tokens in longest.items():
        lines.append(f"longest context, {name}: {'none' if tokens is None else f'at least {tokens:,} tokens'}")
    return "\n".join(lines)
