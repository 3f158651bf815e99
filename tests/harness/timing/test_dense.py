"""The dense row is the model as it is: nothing hangs on it, and its prefill is no slower than an unpatched model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from hypothesis import given
from hypothesis import strategies as st

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.clock import Clock
from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.patches.attention import CONTROL
from coreheads.adapters.patches.registry import make_patch
from coreheads.config.schema import TimingConfig
from coreheads.timing import interleaved

SLACK = 1.15
"""Of the fastest of some runs each: what other programs on the machine leave of a ratio."""


@pytest.fixture(scope="module")
def adapter(small_model: Path) -> Any:
    torch.set_num_threads(1)
    return load_adapter(str(small_model))


@pytest.fixture(scope="module")
def prompt(adapter: Any) -> Any:
    return adapter.prepare(user(image_part(picture(256, 192)), text_part("where is the red-star? " * 8)))


def calls(model: Any, run: Any) -> list[tuple[Any, ...]]:
    """Of every call of a text attention module in ``run``: what hangs on its layers, its kernel, and what it reads."""
    decoder, modules, found = language_model(model), attention_modules(model), []
    kind, own = type(modules[0]), type(modules[0]).forward

    def noted(self: Any, hidden_states: torch.Tensor, *args: Any, **call: Any) -> Any:
        hanging = [
            (name, hooks)
            for name, module in decoder.named_modules()
            for hooks in (module._forward_pre_hooks, module._forward_hooks, vars(module).get("forward"))
            if hooks
        ]
        control = getattr(self, CONTROL, None)
        found.append((hanging, control, decoder.config._attn_implementation, hidden_states.clone()))
        return own(self, hidden_states, *args, **call)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "forward", noted)
        run()
    return found


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_the_timed_dense_prefill_is_the_models_own(
    adapter: Any, prompt: Any, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among patches that take turns with it; with a kernel of the model's, whichever is the fastest."""
    monkeypatch.setattr(interleaved, "fastest_kernel", lambda kernels: kernel)
    monkeypatch.setattr(interleaved, "time_kernels", lambda *_: {})
    taken: list[list[tuple[Any, ...]]] = []
    turns = interleaved.take_turns

    def noted(runs: Any, *args: Any) -> Any:
        for name in ("hybrid", "dense", "hybrid", "dense"):
            found = calls(adapter.model, runs[name])
            taken.extend([found] if name == "dense" else [])
        return turns(runs, *args)

    monkeypatch.setattr(interleaved, "take_turns", noted)
    settings = TimingConfig.model_construct(repeats=1, warmup=0, decode_tokens=2)
    patches = {"hybrid": make_patch("hybrid", {(0, 0)}, sink=2, window=8)}
    interleaved.time_patches(adapter, prompt, lambda share: prompt, patches, settings)

    def unpatched() -> None:
        with torch.inference_mode():
            adapter.model(**prompt.inputs, use_cache=True, logits_to_keep=1)

    before = language_model(adapter.model).config._attn_implementation
    language_model(adapter.model).config._attn_implementation = kernel
    expected = calls(adapter.model, unpatched)
    language_model(adapter.model).config._attn_implementation = before
    layers = len(attention_modules(adapter.model))
    assert (len(expected), len(taken)) == (layers, 2)
    for found in taken:
        assert len(found) == layers * 3  # the prompt at once, and two tokens
        for (hanging, control, implementation, read), (*_, wanted) in zip(found[:layers], expected, strict=True):
            assert (hanging, control, implementation) == ([], None, kernel)
            torch.testing.assert_close(read, wanted, atol=1e-5, rtol=0)


@given(st.lists(st.tuples(st.floats(1e-3, 10), st.floats(1e-3, 10)), min_size=1, max_size=4))
def test_no_other_kernel_makes_it_slower(measured: list[tuple[float, float]]) -> None:
    seconds = {phase: {f"kernel {i}": pair[at] for i, pair in enumerate(measured)} for at, phase in
               enumerate(("prefill", "decode"))}  # fmt: skip
    chosen = interleaved.fastest_kernel(seconds)
    assert seconds["prefill"][chosen] <= interleaved.EQUAL * min(seconds["prefill"].values())


def test_a_dense_prefill_takes_no_longer_than_the_bare_models(adapter: Any, prompt: Any) -> None:
    """Each in its turn; the shortest of all turns counts."""

    def bare() -> float:
        clock = Clock(adapter.devices, on=True)
        cache = PreallocatedCache(len(attention_modules(adapter.model)), prompt.tokens + 1)
        with torch.inference_mode(), clock.watching(adapter.vision_modules), clock.phase("prefill_s"):
            adapter.model(**prompt.inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return clock.seconds["prefill_s"] - clock.seconds["vision_s"]

    def dense() -> float:
        with make_patch("none", frozenset())(adapter.model):
            (answer,) = adapter.generate([prompt], max_new_tokens=1, timing=True)
        return float(answer.timings["prefill_s"])

    shortest = {bare: float("inf"), dense: float("inf")}
    for turn in range(60):
        for run in (bare, dense):
            shortest[run] = min(shortest[run], run())
        if turn >= 5 and shortest[dense] <= SLACK * shortest[bare]:
            return
    pytest.fail(f"dense {1000 * shortest[dense]:.1f} ms, the bare model {1000 * shortest[bare]:.1f} ms")
