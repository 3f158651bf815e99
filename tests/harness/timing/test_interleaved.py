"""Timing: fair turns, nothing left behind, and numbers of which the arithmetic is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.patches.registry import make_patch
from coreheads.config.schema import TimingConfig
from coreheads.timing import interleaved
from coreheads.timing.cells import nearest_to_median
from coreheads.timing.speedup import dense_speed, end_to_end, patched_speed

MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": Image.effect_noise((128, 128), 60).convert("RGB")},
            {"type": "text", "text": "where is the red-star?"},
        ],
    }
]


@pytest.fixture(scope="module")
def adapter(small_model: Path) -> Any:
    torch.set_num_threads(1)
    return load_adapter(str(small_model))


def test_all_variants_take_turns_and_nothing_is_left(adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = {"core": make_patch("hybrid", {(0, 0)}, sink=2, window=8), "cut": make_patch("ablate", {(0, 0)})}
    turns: list[tuple[str, int]] = []
    caches: list[bool] = []
    generate = type(adapter).generate

    def noted(self: Any, prompts: Any, **settings: Any) -> Any:
        decoder = language_model(self.model)
        answers = generate(self, prompts, **settings)
        turns.append((decoder.config._attn_implementation, len(answers[0].token_ids)))
        caches.append(settings["cache_factory"] is not None)
        return answers

    monkeypatch.setattr(type(adapter), "generate", noted)
    before = adapter.model.generation_config.eos_token_id
    prompt = adapter.prepare(MESSAGES)
    settings = TimingConfig.model_construct(repeats=3, warmup=1, decode_tokens=2)
    done: list[int] = []
    times, peaks, kernels = interleaved.time_patches(
        adapter, prompt, lambda share: adapter.prepare(MESSAGES, share=share), patches, settings,
        lambda: done.append(len(turns)),
    )  # fmt: skip
    # kernels are tried, then one warm-up and three repeats of four variants
    assert len(turns) == 3 * (1 + interleaved.PROBES) + 4 + 12
    assert done == [12, 16, 20, 24, 28]
    assert len(done) == settings.rounds
    assert {tokens for _, tokens in turns} == {3}
    fastest = interleaved.fastest_kernel(kernels)
    assert turns[-12][0] == {"packed": "coreheads"}.get(fastest, fastest)
    assert turns[-11][0] == "coreheads"
    # the ceiling has the cache of its patch, an ablation has neither
    assert caches[-12:-8] == [False, True, True, False]
    # the second repeat begins with the second variant
    assert caches[-8:-4] == [True, True, False, False]
    assert turns[-8][0] == "coreheads"
    assert all(len(seconds) == 3 for phases in times.values() for seconds in phases.values())
    assert times["dense"]["vision"] == times["core"]["vision"]
    assert peaks == {"dense": None, "core": None, "ceiling core": None, "cut": None}
    assert set(kernels["prefill"]) == {"sdpa", "eager", "packed"}
    assert adapter.model.generation_config.eos_token_id == before
    assert language_model(adapter.model).config._attn_implementation == "sdpa"
    assert "forward" not in vars(adapter.vision_modules[0])


def test_dense_kernel_is_restored_after_a_failure(adapter: Any) -> None:
    config = language_model(adapter.model).config
    seen = []

    def fail() -> None:
        with interleaved.dense_kernel(adapter.model, "eager"):
            seen.append(config._attn_implementation)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert seen == ["eager"]
    assert config._attn_implementation == "sdpa"


def test_of_equal_prefills_the_faster_decoding_wins(adapter: Any) -> None:
    """The seconds are those of a script; only the kernels are real."""
    spent = {"sdpa": (1.0, 0.3), "eager": (3.0, 0.1), "coreheads": (1.02, 0.2)}
    config = language_model(adapter.model).config

    def run(kernel: str) -> dict[str, float]:
        with interleaved.dense_kernel(adapter.model, kernel):
            prefill, decode = spent[config._attn_implementation]
        return {"prefill": prefill, "decode": decode}

    seconds = interleaved.time_kernels(adapter.model, 100, run)
    assert seconds["prefill"] == {"sdpa": 1.0, "eager": 3.0, "packed": 1.02}
    assert interleaved.fastest_kernel(seconds) == "packed"
    spent["coreheads"] = (1.1, 0.2)
    assert interleaved.fastest_kernel(interleaved.time_kernels(adapter.model, 100, run)) == "sdpa"
    assert config._attn_implementation == "sdpa"


def test_slow_kernels_are_tried_twice_and_those_that_do_not_fit_left_out(adapter: Any) -> None:
    tried: list[str] = []

    def run(kernel: str) -> dict[str, float]:
        tried.append(kernel)
        if kernel == "eager":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"prefill": interleaved.QUICK + (kernel == "packed"), "decode": 1.0}

    assert set(interleaved.time_kernels(adapter.model, 100, run)["decode"]) == {"sdpa", "packed"}
    assert [tried.count(kernel) for kernel in ("sdpa", "eager", "packed")] == [1 + interleaved.PROBES, 1, 2]
    with pytest.raises(torch.OutOfMemoryError):
        interleaved.time_kernels(adapter.model, 100, lambda kernel: run("eager"))


def test_a_kernel_far_behind_is_tried_once(adapter: Any) -> None:
    """Unless it may be the first call itself that takes so long."""
    tried: list[str] = []
    spent = {"sdpa": 0.7, "packed": 0.7, "eager": 4.6}

    def run(kernel: str) -> dict[str, float]:
        tried.append(kernel)
        return {"prefill": spent[kernel], "decode": 1.0}

    assert interleaved.time_kernels(adapter.model, 100, run)["prefill"] == spent
    assert tried.count("eager") == 1
    spent["eager"] = 1.9
    interleaved.time_kernels(adapter.model, 100, run)
    assert tried.count("eager") == 2 + interleaved.PROBES


@pytest.mark.parametrize("phase", ["preprocess", "vision", "prefill", "decode"])
def test_a_phase_that_is_missing_counts_as_no_zero(phase: str) -> None:
    times: Any = {name: [1.0, 2.0] for name in ("preprocess", "vision", "prefill", "decode")}
    assert end_to_end(times, 4) == [7.0, 14.0]
    for seconds in ([], [1.0]):
        with pytest.raises(ValueError, match="argument"):
            end_to_end({**times, phase: seconds}, 4)
    del times[phase]
    with pytest.raises(KeyError, match=phase):
        end_to_end(times, 4)


def test_a_prompt_that_took_its_media_over_has_no_time(adapter: Any) -> None:
    prompt = adapter.prepare(MESSAGES)
    assert interleaved.seconds_preparing(lambda: prompt) == prompt.preprocess_s > 0
    with pytest.raises(ValueError, match="no time of its own"):
        interleaved.seconds_preparing(lambda: adapter.prepare(MESSAGES, like=prompt))


def test_what_patches_know_of_themselves(adapter: Any) -> None:
    hybrid, ablate = make_patch("hybrid", {(0, 0)}, sink=2, window=8), make_patch("ablate", {(0, 0)})
    assert ablate.kv_ratio(adapter.model, 100) is None
    assert ablate.cache(adapter.model) is None
    assert ablate.ceiling() is None
    assert hybrid.ceiling() == make_patch("hybrid", {(0, 0)}, sink=2, window=8, local=False)
    # one of 2 x 4 KV heads keeps 100 tokens, seven keep 10
    assert hybrid.kv_ratio(adapter.model, 100) == pytest.approx((100 + 7 * 10) / 800)


def test_the_prompt_timed_is_the_one_of_median_length() -> None:
    assert nearest_to_median({0: 100, 1: 900, 2: 500, 3: 450, 4: 2000}) == 2
    assert nearest_to_median({5: 10, 4: 10}) == 4


def test_speed_rows_are_ratios_of_medians() -> None:
    times: Any = {
        name: {"preprocess": [0.5] * 11, "vision": [0.5] * 11, "prefill": [prefill] * 10 + [50.0], "decode": [0.1] * 11}
        for name, prefill in (("dense", 3.0), ("patched", 1.5), ("ceiling", 1.0))
    }
    record: Any = {
        "times": times, "decode_tokens": 10, "prompt_tokens": 7, "dense_kernel": "sdpa", "repeats": 11,
        "kv_bytes_ratio": 0.25, "peak_memory_ratio": None,
    }  # fmt: skip
    speed = patched_speed(record)
    assert speed["prefill_ms"] == 1500
    assert speed["prefill_speedup"] == 2
    assert speed["ceiling"] == 3
    assert speed["ceiling_share"] == pytest.approx(2 / 3)
    assert speed["decode_speedup"] == 1
    assert speed["end_to_end_speedup"] == pytest.approx(5 / 3.5)
    assert end_to_end(times["dense"], 10)[0] == 5
    assert dense_speed(record)["prefill_ms"] == 3000
    del times["ceiling"]
    assert patched_speed(record)["ceiling"] is None
    assert patched_speed(record)["ceiling_share"] is None


def test_a_prompt_of_fewer_pixels_has_times_of_its_own(adapter: Any) -> None:
    prompt, shares = adapter.prepare(MESSAGES), []

    def prepare(share: float) -> Any:
        shares.append(share)
        return adapter.prepare(MESSAGES, share=share)

    patches = {"small": make_patch("resolution", keep=0.25), "core": make_patch("streaming", window=8)}
    settings = TimingConfig.model_construct(repeats=3, warmup=1, decode_tokens=2)
    times, _, _ = interleaved.time_patches(adapter, prompt, prepare, patches, settings)
    assert sorted(shares) == [0.25] * 4 + [1.0] * 3
    for phase in ("vision", "preprocess"):
        assert times["dense"][phase] == times["core"][phase] != times["small"][phase]
        assert all(seconds > 0 for seconds in times["small"][phase])
