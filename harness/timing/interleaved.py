"""Speed of patched models against the fastest dense kernel: one process, taking turns, phases apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.devices import Peak, input_device, peak, reset_peak
from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.patches.base import Patch

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt
    from coreheads.config.schema import TimingConfig

Seconds = dict[str, dict[str, list[float]]]
"""``[variant][phase]``, of every repeat."""
PROBES = 3
"""Repeats with which the dense kernels are compared."""
QUICK = 5.0
"""Seconds of a prefill up to which a kernel is tried so often; a slower one is timed once, after a warm-up."""
BEHIND, BEHIND_S = 4.0, 2.0
"""A kernel whose first prefill takes so many times the fastest one's, and so many seconds, is not tried again."""
EQUAL = 1.03
"""Kernels nearer to each other than this are equally fast: it is what three repeats can tell."""
OWN = "packed"
"""The project's own dense attention: on a GPU the fastest kernel that ``adapters.kernels.dense`` finds, in decoding the
query heads of a KV head as rows of one product."""
EAGER_TOKENS = 2048
"""Longest prompt at which eager attention is tried: it holds heads x tokens x tokens scores."""


def time_patches(
    adapter: Adapter,
    prompt: Prompt,
    prepare: Callable[[float], Prompt],
    patches: Mapping[str, Patch],
    settings: TimingConfig,
    advance: Callable[[], object] = lambda: None,
) -> tuple[Seconds, dict[str, Peak | None], dict[str, dict[str, float]]]:
    """Time dense, every patch, and the ceiling of each that has one, on one prompt, in turns.

    The vision tower, which no patch changes, runs once a repeat and its time is everyone's; it runs once more for the
    first patch that reads it. What such a patch makes of it is in that patch's prefill. A patch that shows the
    media with fewer tokens has a prompt of its own, and times of its own of preprocessing and vision tower.

    Args:
        prepare: Prepares the prompt anew, with that share of its vision tokens; its time is the preprocessing, the same
            for all that have the prompt.
        patches: By name; the ceiling of one, the other heads' attention left out, is called ``ceiling <name>``.
        advance: Called after every round: the kernels' comparison, warm-ups, repeats; ``settings.rounds`` in all.

    Returns:
        As ``take_turns``, decode being a token's, with the phase ``select`` of the prefill where tokens or keys are
        chosen, and beside the seconds ``kv_bytes``, what the cache held after each prefill; and as ``time_kernels``.
    """
    model = adapter.model
    shares = {"dense": 1.0} | {name: patch.shown for name, patch in patches.items()}
    prompts = {share: prompt if share == 1 else prepare(share) for share in shares.values()}
    preprocess: dict[float, list[float]] = {share: [] for share in prompts}
    for share in [*prompts] * settings.repeats:
        preprocess[share].append(seconds_preparing(partial(prepare, share)))
    vision_cache = VisionCache()

    def run(
        patch: Callable[[nn.Module], AbstractContextManager[object]],
        cache: Callable[[], Cache] | None,
        share: float = 1.0,
    ) -> dict[str, float]:
        with vision_cache.active(adapter.vision_modules), patch(model):
            (answer,) = adapter.generate(
                [prompts[share]], max_new_tokens=settings.decode_tokens + 1, timing=True, cache_factory=cache
            )
        spent = answer.timings
        assert spent is not None  # as asked for
        return {
            "vision": spent["vision_s"],
            "prefill": spent["prefill_s"],
            "decode": spent["decode_s"] / spent["decode_tokens"],
            **({} if spent["select_s"] is None else {"select": spent["select_s"]}),
            "kv_bytes": float(spent["kv_bytes"]),
        }

    runs = {"dense": partial(run, nullcontext, None)}
    for name, patch in patches.items():
        cache = partial(patch.cache, model) if patch.cache(model) is not None else None
        runs[name] = partial(run, patch, cache, patch.shown)
        if (ceiling := patch.ceiling()) is not None:
            # with the patch's cache: but for the attention left out, all is what the patch does
            runs[f"ceiling {name}"] = partial(run, ceiling, cache)

    def run_dense(kernel: str) -> dict[str, float]:
        with dense_kernel(model, kernel):
            return runs["dense"]()

    # no token ends an answer, so that every run decodes the same number of tokens
    with _changed(model.generation_config, "eos_token_id", []):
        kernels = time_kernels(model, prompt.tokens, run_dense)
        advance()
        with dense_kernel(model, fastest_kernel(kernels)):
            times, peaks = take_turns(
                runs, adapter.devices, settings.repeats, settings.warmup, vision_cache.clear, advance, shares
            )
    for name, phases in times.items():
        phases["preprocess"] = preprocess[shares.get(name, 1.0)]
    return times, peaks, kernels


def take_turns(
    runs: Mapping[str, Callable[[], Mapping[str, float]]],
    devices: Sequence[torch.device],
    repeats: int,
    warmup: int,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
    shares: Mapping[str, float] | None = None,
) -> tuple[Seconds, dict[str, Peak | None]]:
    """Measure variants interleaved: in each repeat all of them take their turn, each repeat beginning with another.

    Args:
        runs: By variant, what runs it once and gives its seconds by phase. The phase ``vision`` is that of the variant
            that comes first in a repeat, the others answering from memory; it counts for all of them.
        before: Called before every repeat.
        after: Called after every one, and after all had a warm-up.
        shares: By variant the prompt that it has, those of one prompt having one ``vision``; 1 where it is not named.

    Returns:
        ``times[variant][phase]``, the seconds of every repeat; and by variant the most bytes allocated on the
        GPUs, None where that is not to be had.
    """
    names = list(runs)
    for _ in range(warmup):
        for name in names:
            runs[name]()
        after()
    times: Seconds = {name: {} for name in names}
    peaks: dict[str, Peak | None] = dict.fromkeys(names)
    for repeat in range(repeats):
        before()
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            reset_peak(devices)
            for phase, seconds in runs[name]().items():
                times[name].setdefault(phase, []).append(seconds)
            if (held := peak(devices)) is not None:
                before_it = peaks[name] or held
                peaks[name] = Peak(max(before_it.total, held.total), max(before_it.largest, held.largest))
        after()
    groups: dict[float, list[dict[str, list[float]]]] = {}
    for name, phases in times.items():
        groups.setdefault((shares or {}).get(name, 1.0), []).append(phases)
    for group in groups.values():
        seen = [max(seconds) for seconds in zip(*(phases.get("vision", []) for phases in group), strict=True)]
        for phases in group:
            if seen:
                phases["vision"] = seen
    return times, peaks


def time_kernels(model: Any, tokens: int, run: Callable[[str], Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Time dense attention by every kernel that this device has and whose memory suffices.

    Args:
        tokens: The prompt's length.
        run: Runs the prompt once by the kernel of that name and gives its seconds by phase.

    Returns:
        ``seconds[phase][kernel]``, medians, of the phases prefill and decode.

    Raises:
        torch.OutOfMemoryError: No kernel fits.
    """
    seconds: dict[str, dict[str, float]] = {"prefill": {}, "decode": {}}
    failure: torch.OutOfMemoryError | None = None
    for name in dense_kernels(model, tokens):
        try:
            first = run(name)
            if first["prefill"] > max(BEHIND_S, BEHIND * min(seconds["prefill"].values(), default=first["prefill"])):
                runs = [first]
            else:
                runs = [run(name) for _ in range(PROBES if first["prefill"] <= QUICK else 1)]
        except torch.OutOfMemoryError as error:
            failure = error.with_traceback(None)  # its frames hold on to what did fit
        else:
            for phase, medians in seconds.items():
                medians[name] = median(spent[phase] for spent in runs)
            continue
        torch.cuda.empty_cache()
    if failure is not None and not seconds["prefill"]:
        raise failure
    return seconds


def fastest_kernel(seconds: Mapping[str, Mapping[str, float]]) -> str:
    """Of the kernels whose prefill is as fast as the fastest one's, up to EQUAL, the one that decodes fastest."""
    limit = EQUAL * min(seconds["prefill"].values())
    return min(
        (name for name, spent in seconds["prefill"].items() if spent <= limit), key=seconds["decode"].__getitem__
    )


def dense_kernels(model: Any, tokens: int) -> list[str]:
    """Dense attention implementations worth trying here."""
    from transformers.utils import is_flash_attn_2_available

    names = ["sdpa"]
    if tokens <= EAGER_TOKENS:
        names.append("eager")
    if input_device(model).type == "cuda" and model.dtype != torch.float32 and is_flash_attn_2_available():
        names.append("flash_attention_2")
    return [*names, OWN]


def dense_kernel(model: Any, name: str) -> AbstractContextManager[object]:
    """Have the language model attend with this kernel inside the block; the vision tower keeps its own."""
    return Patch()(model) if name == OWN else _changed(language_model(model).config, "_attn_implementation", name)


@contextmanager
def _changed(owner: Any, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value inside the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def seconds_preparing(prepare: Callable[[], Prompt]) -> float:
    """Seconds of one preprocessing, as the prompt has them; ValueError where it took its media over from another."""
    seconds = prepare().preprocess_s
    if seconds is None:
        raise ValueError("a prompt that takes its media over from another has no time of its own")
    return seconds


def seconds_of(run: Callable[[], object], devices: Sequence[torch.device]) -> float:
    """Seconds until the devices have finished what ``run`` asks of them."""
    clock = Clock(devices, on=True)
    started = clock.now()
    run()
    return clock.now() - started
