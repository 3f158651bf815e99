"""Generation with its phases apart: vision tower, prefill, decode.

Written out rather than left to ``model.generate`` so that the phases can be timed, prompts on the same media can
share their prefill, and positions never depend on what the model saw before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from coreheads.adapters.generation.answer import Answer
from coreheads.adapters.generation.batching import plan
from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.collate import collate
from coreheads.adapters.generation.devices import model_devices
from coreheads.adapters.generation.protocol import GenerationAdapter
from coreheads.adapters.generation.sampling import Sampler
from coreheads.adapters.generation.structure import cache_argument, cuts_caches, prompt_owners, reading
from coreheads.adapters.generation.work import Work, counting, held_bytes, metered
from coreheads.adapters.prompt.prompt import TEXT_INPUTS, Prompt
from coreheads.adapters.value_checks import whole_number
from coreheads.errors import UserError

BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
"""Tokens in a batch of several prompts, by device type: enough to keep it busy, and bounded in memory."""

ANSWER_ROOM = 128
"""New tokens that a cache has room for from the beginning; it grows when an answer is longer."""


class Timings(TypedDict):
    """Seconds of an answer's phases."""

    preprocess_s: float | None
    """None when the prompt took its media over from another."""
    vision_s: float
    """The vision tower."""
    prefill_s: float
    """Up to the first token, without the vision tower."""
    select_s: float | None
    """Of ``prefill_s``, choosing tokens or keys; None where nothing is chosen, or the device cannot say."""
    decode_s: float
    """The tokens after the first."""
    decode_tokens: int
    """Their number."""
    kv_bytes: int
    """Bytes of the keys and values that the cache holds after the prefill."""


@dataclass(frozen=True)
class Generation:
    """An answer.

    Attributes:
        text: Decoded without special tokens, cut before the first stop string, stripped.
        token_ids: As generated, the end token included.
        prompt_tokens: Length of the prompt.
        timings: Only when asked for.
        margin: Of the first token, its logit less that of the next likely one; where it is small, another rounding
            may answer otherwise.
        broken_at: The first token, from 1, that was picked from non-finite logits; None where all are finite.
        work: What reading the prompt cost; only when asked for.
    """

    text: str
    token_ids: list[int]
    prompt_tokens: int
    timings: Timings | None = None
    margin: float = math.nan
    broken_at: int | None = None
    work: Work | None = None

    @property
    def finite(self) -> bool:
        """Whether all logits were finite; an answer where they were not says nothing about the model."""
        return self.broken_at is None


@torch.inference_mode()
def generate(
    adapter: GenerationAdapter,
    prompts: Sequence[Prompt],
    max_new_tokens: int = 64,
    stop: Sequence[str] = (),
    timing: bool = False,
    share_prefix: bool = False,
    cache_factory: Callable[[], Cache] | None = None,
    batch_tokens: int | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    count: bool = False,
) -> list[Generation]:
    """Answers in the order of the prompts; greedy unless a temperature is given.

    Args:
        adapter: The model's.
        prompts: Prepared by it; those of about one length run in left-padded batches, but one at a time and nothing
            shared under a patch that takes no more.
        max_new_tokens: The longest answer.
        stop: Strings; a prompt's answer ends at the first of them.
        timing: Measure each phase with all devices synchronised, one prompt at a time and nothing shared.
        share_prefix: Prompts that begin with the same tokens and show the same media, up to at least the last of them,
            have that beginning computed once; same answers, only faster.
        cache_factory: Makes the key-value cache of each batch, in place of one that keeps all; nothing is shared then,
            because such a cache may not be taken back.
        batch_tokens: Tokens a batch of several prompts at most; None: a bound that suits the device; 1: one prompt at
            a time.
        temperature: Divides the logits that tokens are drawn from; 0 is greedy.
        top_p: Share of the likeliest tokens that are drawn from.
        seed: Of the draws.
        count: Count what reading each prompt costs.

    Raises:
        UserError: If max_new_tokens is below 1, stop holds no texts, or temperature, top_p or seed is out of its range.
    """
    whole_number("max_new_tokens:", max_new_tokens)
    sampler = Sampler(temperature, top_p, seed)
    if not isinstance(stop, (str, Sequence)) or not all(isinstance(text, str) for text in stop):
        raise UserError(f"stop: {stop!r}, expected texts")
    stop = [stop] if isinstance(stop, str) else [text for text in stop if text]
    alone = timing or bool(prompt_owners(adapter.model))
    budget = 1 if alone else batch_tokens or BATCH_TOKENS.get(adapter.device.type, 4096)
    done: dict[int, Generation] = {}
    shares = share_prefix and not alone and not cache_factory
    for group in plan(prompts, budget, shares):
        longest = max(prompts[row].tokens for batch in group for row in batch.rows)
        room = longest + min(max_new_tokens, ANSWER_ROOM)
        shared: PreallocatedCache | None = None
        before: Work | None = None
        for batch in group:
            members = [prompts[row] for row in batch.rows]
            cache = cache_factory() if cache_factory else PreallocatedCache(adapter.layers, room)
            if batch.prefix:
                if shared is None:
                    with counting(adapter.model, 1, count) as tally:
                        shared = _prefix_cache(adapter, members[0], batch.prefix, cache)
                    (before,) = tally.works([batch.prefix], shared) if tally else [None]
                shared.rewind(batch.prefix)
                # one prompt goes on in the shared cache itself, which is then taken back: nothing is copied
                in_place = len(members) == 1 and not cuts_caches(adapter.model)
                cache = shared if in_place else shared.copies(len(members))
            chosen = stop, max_new_tokens, sampler, timing, count
            answers = _answers(adapter, members, batch.prefix, before, cache, *chosen)
            done |= zip(batch.rows, answers, strict=True)
    return [done[row] for row in range(len(prompts))]


def _answers(
    adapter: GenerationAdapter,
    prompts: Sequence[Prompt],
    prefix: int,
    before: Work | None,
    cache: Cache,
    stop: Sequence[str],
    max_new_tokens: int,
    sampler: Sampler,
    timing: bool,
    count: bool,
) -> Iterator[Generation]:
    """The answers of one batch, whose first ``prefix`` tokens the cache holds, at the cost of ``before``."""
    clock = Clock(model_devices(adapter.model) if timing else (), timing)
    answers = [Answer(adapter, stop) for _ in prompts]
    finite: list[Tensor] = []  # for each token so far, which rows had finite logits to pick it from, bool [B]

    def pick(logits: Tensor) -> Tensor:
        # the largest is finite unless one is NaN, one is +inf, or all are -inf; a masked token may be -inf
        finite.append(logits.amax(-1).isfinite())
        return sampler.pick(logits)

    with clock.watching(adapter.vision_modules):
        counted = counting(adapter.model, len(prompts), count)
        with clock.phase("prefill_s"), metered(clock if timing else None), counted as tally:
            logits, positions, mask = _prefill(adapter, prompts, prefix, cache)
            first, second = logits.float().topk(2).values.unbind(-1)
            margins = (first - second).tolist()
            tokens = pick(logits)
        kv_bytes = sum(held_bytes(layer, 0, 0) for layer in cache.layers) if timing else 0
        works = tally.works([one.tokens for one in prompts], cache, before) if tally else [None] * len(prompts)
        with clock.phase("decode_s"):
            for steps in range(max_new_tokens):
                for answer, token in zip(answers, tokens.tolist(), strict=True):
                    answer.append(token)
                if steps + 1 == max_new_tokens or all(answer.done for answer in answers):
                    break
                mask = None if mask is None else nn.functional.pad(mask, (0, 1), value=1)
                tokens = pick(_forward(adapter, {"input_ids": tokens[:, None]}, positions + steps, mask, cache))
    clock.seconds["prefill_s"] -= clock.seconds["vision_s"]
    sounds = torch.stack(finite).T.tolist()
    for prompt, answer, margin, sound, work in zip(prompts, answers, margins, sounds, works, strict=True):
        phases: Timings = {
            "preprocess_s": prompt.preprocess_s,
            "vision_s": clock.seconds["vision_s"],
            "prefill_s": clock.seconds["prefill_s"],
            "select_s": clock.select_s(),
            "decode_s": clock.seconds["decode_s"],
            "decode_tokens": steps,
            "kv_bytes": kv_bytes,
        }
        heard = sound[: len(answer.ids)]  # a row that has ended goes on in its batch, unheard
        broken_at = None if all(heard) else heard.index(False) + 1
        yield Generation(answer.text(), answer.ids, prompt.tokens, phases if timing else None, margin, broken_at, work)


def _prefill(
    adapter: GenerationAdapter, prompts: Sequence[Prompt], prefix: int, cache: Cache
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits [B, vocabulary] of the first new tokens, their positions [..., B, 1], and the mask, None without padding.

    All of the prompts is run but the ``prefix`` tokens that the cache holds.
    """
    batch = collate(adapter, prompts, vision=not prefix)
    positions, mask = batch.pop("position_ids"), batch.pop("attention_mask", None)
    inputs = _columns(batch, slice(prefix, None))
    with reading(adapter.model, prompts):
        logits = _forward(adapter, inputs, positions[..., prefix:], mask, cache)
    # the largest position is not the last one's where media count in two dimensions
    after = positions.reshape(-1, len(prompts), positions.shape[-1]).amax(dim=(0, 2)) + 1
    return logits, after[:, None].expand(*positions.shape[:-1], 1), mask


def _prefix_cache(
    adapter: GenerationAdapter, prompt: Prompt, length: int, cache: PreallocatedCache
) -> PreallocatedCache:
    """The cache after the first ``length`` tokens of the prompt, media included."""
    batch = collate(adapter, [prompt])
    positions = batch.pop("position_ids")
    cache.beginning = True
    _forward(adapter, _columns(batch, slice(0, length)), positions[..., :length], None, cache)
    cache.beginning = False
    return cache


def _forward(
    adapter: GenerationAdapter, inputs: dict[str, Tensor], positions: Tensor, mask: Tensor | None, cache: Cache
) -> Tensor:
    """Logits of the last token, [B, vocabulary]."""
    inputs = {**inputs, cache_argument(adapter.model): cache}
    outputs = adapter.model(**inputs, position_ids=positions, attention_mask=mask, use_cache=True, logits_to_keep=1)
    logits: Tensor = outputs.logits[:, -1]
    return logits


def _columns(batch: dict[str, Tensor], columns: slice) -> dict[str, Tensor]:
    """Those columns of a batch's text inputs, and the media's inputs."""
    return {name: value[:, columns] if name in TEXT_INPUTS else value for name, value in batch.items()}
