"""Beside the phases: what measuring RAM costs, and the longest context that fits."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.clock import Clock
from coreheads.bench.target import Target, Workload
from coreheads.bench.timing import FEW, SLOW
from coreheads.retrieval.ram import attention_mass
from coreheads.stats.bootstrap import ratio_of_medians_ci
from coreheads.timing.interleaved import EAGER_TOKENS, OWN, dense_kernel, peak_memory

if TYPE_CHECKING:
    from coreheads.bench.series import Entry

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


def ram_cost(
    target: Target, contexts: Sequence[int], repeats: int, say: Callable[[str], None] = lambda line: None
) -> list[dict[str, Any]]:
    """Per context: prefill alone, with the attention mass of QUERY_ROWS rows beside it, and with eager attention that
    gives all its weights, where that fits; in turns, in one process.

    Seconds are medians; the ratios are to the plain prefill; peak bytes None where they cannot be had.
    """
    found = []
    for context in sorted(contexts):
        workload = target.workload(context)
        runs: dict[str, Callable[[], object]] = {
            "plain": partial(_plain, target, workload),
            "ram": partial(_ram, target, workload),
        }
        if context <= (EAGER_TOKENS_GPU if target.device.type == "cuda" else EAGER_TOKENS):
            runs["eager"] = partial(_eager, target, workload)
        with target.remembering():
            seconds, peaks = _turns(target, runs, repeats)
        if "plain" not in seconds:
            say(f"RAM at {context:,} tokens: does not fit into memory")
            break
        entry: dict[str, Any] = {"context": context, "rows": QUERY_ROWS, "targets": TARGETS}
        for name, times in seconds.items():
            ratio, low, high = ratio_of_medians_ci(times, seconds["plain"])
            entry[name] = {
                "seconds": median(times),
                "repeats": len(times),
                "time_ratio": ratio,
                "time_ratio_ci": [low, high],
                "peak_bytes": peaks[name],
                "peak_ratio": _ratio(peaks[name], peaks["plain"]),
            }
        found.append(entry)
        say(f"RAM at {context:,} tokens: {entry['ram']['time_ratio']:.2f}x the time of a plain prefill")
    return found


def _turns(
    target: Target, runs: dict[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, int | None]]:
    clock = Clock(target.device, on=True)
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, int | None] = {}
    longest = 0.0
    for name in list(runs):
        try:
            started = clock.now()
            runs[name]()
            longest = max(longest, clock.now() - started)
            with peak_memory(target.device) as peak:
                runs[name]()
            peaks[name] = peak()
        except torch.OutOfMemoryError:
            del runs[name]
            torch.cuda.empty_cache()
    for repeat in range(repeats if longest <= SLOW else min(repeats, FEW)):
        names = list(runs)
        for name in names[repeat % len(names) :] + names[: repeat % len(names)] if names else []:
            started = clock.now()
            runs[name]()
            seconds.setdefault(name, []).append(clock.now() - started)
    return seconds, peaks


@torch.inference_mode()
def _plain(target: Target, workload: Workload) -> None:
    # the same kernel on both sides: a GPU has several, of which patches take the fastest
    with dense_kernel(target.model, OWN) if target.device.type == "cuda" else nullcontext():
        target.model(**workload.inputs, use_cache=False, logits_to_keep=1)


def _ram(target: Target, workload: Workload) -> None:
    rows = torch.arange(max(0, workload.tokens - QUERY_ROWS), workload.tokens)
    columns = torch.arange(min(TARGETS, workload.tokens))
    attention_mass(target.model, workload.inputs, rows, [columns])


@torch.inference_mode()
def _eager(target: Target, workload: Workload) -> None:
    with dense_kernel(target.model, "eager"):
        target.model(**workload.inputs, use_cache=False, logits_to_keep=1, output_attentions=True)


def longest(
    target: Target, compared: Sequence[Entry], start: int, say: Callable[[str], None] = lambda line: None
) -> dict[str, int | None]:
    """The longest prompt that was answered within the GPU's memory, by variant; at least that fits.

    The search ends at steps of SHORTEST tokens, or when a variant has taken SEARCH seconds.
    """
    if target.device.type != "cuda":
        say("The longest context is looked for on a GPU only")
        return {}
    variants: dict[str, Callable[[int], None]] = {"dense": lambda tokens: _answer(target, tokens, None)}
    for entry in compared:
        variants[entry.name] = partial(_answer, target, patch=entry.patch)
    return {name: largest(run, start) for name, run in variants.items()}


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
            torch.cuda.synchronize()
            gc.collect()  # what an error's traceback held on to
            torch.cuda.empty_cache()
        last = clock() - tried
        tokens = min(good * 2, limit) if bad > limit and good < limit else (good + bad) // 2 // SHORTEST * SHORTEST
        if tokens in (good, bad):
            break
    return good or None


@torch.inference_mode()
def _answer(target: Target, tokens: int, patch: Any = None) -> None:
    """Prefill and one decoded token."""
    workload = target.workload(tokens)
    cache = PreallocatedCache(target.shape[0], tokens + 1) if patch is None else patch.cache(target.model)
    positions = torch.full_like(workload.inputs["position_ids"][..., -1:], workload.after)
    token = torch.zeros(1, 1, dtype=torch.long, device=target.device)
    with target.remembering(), nullcontext() if patch is None else patch(target.model):
        target.forward(cache, **workload.inputs)
        target.forward(cache, input_ids=token, position_ids=positions)


def report(details: Mapping[str, Any]) -> str:
    """Both in words, where they were measured."""
    lines = []
    for entry in details.get("ram", []):
        for name in ("ram", "eager"):
            if name in entry:
                part = entry[name]
                what = "with RAM" if name == "ram" else "with eager attention and its weights"
                peak = "" if part["peak_ratio"] is None else f", {part['peak_ratio']:.2f}x its peak memory"
                low, high = part["time_ratio_ci"]
                ratio = f"{part['time_ratio']:.2f}x [{low:.2f}, {high:.2f}]"
                lines.append(f"{entry['context']:,} tokens, prefill {what}: {ratio} the time of a plain one{peak}")
    for name, tokens in details.get("longest", {}).items():
        lines.append(f"longest context, {name}: {'none' if tokens is None else f'at least {tokens:,} tokens'}")
    return "\n".join(lines)


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part and whole else None
