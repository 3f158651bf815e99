"""Speed of patched models against the fastest dense kernel: one process, taking turns, phases apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from coreheads.adapters.generation.vision_cache import VisionMemo
from coreheads.timing.speedup import PHASES

PROBES = 3
"""Repeats with which the dense kernels are compared."""
EQUAL = 1.03
"""Kernels nearer to each other than this are equally fast: it is what three repeats can tell."""
OWN = "packed"
"""The project's own dense attention: on a GPU the fastest kernel that ``adapters.patches.dense`` finds, in decoding the
query heads of a KV head as rows of one product."""
EAGER_TOKENS = 2048
"""Longest prompt at which eager attention is tried: it holds heads x tokens x tokens scores."""


@dataclass(frozen=True)
class Variant:
    """One way to run the model. patch: a context manager factory; cache: makes its cache, None for a plain one."""

    name: str
    patch: Callable[[Any], Any]
    cache: Callable[[], Any] | None = None


def time_variants(
    adapter: Any,
    prompt: Any,
    prepare: Callable[[], Any],
    variants: Sequence[Variant],
    repeats: int = 10,
    warmup: int = 1,
    decode_tokens: int = 8,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Time dense and every variant on one prompt, interleaved: in each repeat all of them take their turn, each
    repeat beginning with another. The vision tower, which no variant changes, runs once a repeat and its time is
    everyone's.

    prepare: prepares the prompt anew (its time is the preprocessing, the same for all). Every run decodes exactly
    ``decode_tokens`` tokens after the first, whatever the answer.

    Returns {"times": {variant: {phase: [seconds a repeat]}}, "peak_bytes": {variant: bytes or None},
    "dense_kernel", "kernels": {name: median seconds of prefill}}; ``decode`` is seconds a token.
    """
    preprocess = [float(prepare().preprocess_s) for _ in range(repeats)]
    memo = VisionMemo()
    with endless(adapter):

        def run(variant: Variant) -> dict[str, float]:
            factory = variant.cache
            with memo.active(adapter.vision_modules), variant.patch(adapter.model):
                answer = adapter.generate(
                    [prompt], max_new_tokens=decode_tokens + 1, timing=True, cache_factory=factory
                )[0]
            spent = answer.timings
            return {
                "vision": spent["vision_s"],
                "prefill": spent["prefill_s"],
                "decode": spent["decode_s"] / spent["decode_tokens"],
            }

        kernel, kernels = fastest_dense_kernel(adapter, lambda: run(DENSE), prompt.tokens)
        everyone = [DENSE, *variants]
        times: dict[str, dict[str, list[float]]] = {v.name: {phase: [] for phase in PHASES} for v in everyone}
        peaks: dict[str, int | None] = {v.name: None for v in everyone}
        with dense_kernel(adapter.model, kernel):
            for variant in everyone:
                for _ in range(warmup):
                    run(variant)
            for repeat in range(repeats):
                memo.clear()
                seeing = 0.0
                turn = repeat % len(everyone)
                for variant in everyone[turn:] + everyone[:turn]:
                    with peak_memory(adapter.device) as peak:
                        spent = run(variant)
                    seeing = max(seeing, spent.pop("vision"))
                    for phase, seconds in spent.items():
                        times[variant.name][phase].append(seconds)
                    peaks[variant.name] = _larger(peaks[variant.name], peak())
                for variant in everyone:
                    times[variant.name]["vision"].append(seeing)
                advance()
    for variant in everyone:
        times[variant.name]["preprocess"] = preprocess
    return {"times": times, "peak_bytes": peaks, "dense_kernel": kernel, "kernels": kernels}


def _as_it_is(model: Any) -> Any:
    from contextlib import nullcontext

    return nullcontext(model)


DENSE = Variant("dense", _as_it_is)


def fastest_dense_kernel(
    adapter: Any, run: Callable[[], Mapping[str, float]], tokens: int
) -> tuple[str, dict[str, float]]:
    """(name, {name: median seconds of prefill}) over the dense attention kernels that this device has.

    Of kernels whose prefill is as fast as the fastest one's, up to EQUAL, it is the one that decodes fastest.
    """
    measured: dict[str, dict[str, float]] = {}
    for name in [*dense_kernels(adapter, tokens), OWN]:
        with dense_kernel(adapter.model, name):
            run()
            runs = [run() for _ in range(PROBES)]
        measured[name] = {phase: median(spent[phase] for spent in runs) for phase in ("prefill", "decode")}
    fastest = min(spent["prefill"] for spent in measured.values())
    equal = [name for name, spent in measured.items() if spent["prefill"] <= EQUAL * fastest]
    chosen = min(equal, key=lambda name: measured[name]["decode"])
    return chosen, {name: spent["prefill"] for name, spent in measured.items()}


def dense_kernels(adapter: Any, tokens: int) -> list[str]:
    """Dense attention implementations worth trying here."""
    from transformers.utils import is_flash_attn_2_available

    found = ["sdpa"]
    if tokens <= EAGER_TOKENS:
        found.append("eager")
    if adapter.device.type == "cuda" and str(adapter.dtype) != "torch.float32" and is_flash_attn_2_available():
        found.append("flash_attention_2")
    return found


@contextmanager
def dense_kernel(model: Any, name: str) -> Iterator[None]:
    """Have the language model attend with this kernel inside the block; the vision tower keeps its own."""
    from coreheads.adapters.generation.structure import language_model
    from coreheads.adapters.patches.base import Patch

    if name == OWN:
        with Patch()(model):
            yield
        return
    config: Any = language_model(model).config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


@contextmanager
def endless(adapter: Any) -> Iterator[None]:
    """Have no token end an answer inside the block, so that every run decodes the same number of tokens."""
    settings = adapter.model.generation_config
    before = settings.eos_token_id
    settings.eos_token_id = []
    try:
        yield
    finally:
        settings.eos_token_id = before


@contextmanager
def peak_memory(device: Any) -> Iterator[Callable[[], int | None]]:
    """Gives a function that tells the most bytes allocated on a GPU during the block; None elsewhere, where an
    allocator's peak is not to be had."""
    import torch

    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    yield lambda: torch.cuda.max_memory_allocated(device) if on_gpu else None


def _larger(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def nearest_to_median(tokens: Mapping[int, int], count: int) -> list[int]:
    """The ``count`` keys whose values lie nearest to the median value; equal distances by key."""
    middle = median(tokens.values())
    return sorted(tokens, key=lambda key: (abs(tokens[key] - middle), key))[:count]
