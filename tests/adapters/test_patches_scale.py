"""Long prompts in published shapes: what is allocated, counted on the meta device, which has shapes and no numbers.

The model, the cache and the patches are the real ones; FlashAttention's variable-length kernel is there with torch's
own description of its outputs. Speed and rounding are not looked at.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from coreheads import Hybrid
from coreheads.adapters import published
from coreheads.adapters.cache import RoomyCache
from coreheads.adapters.chunked_prefill import chunked_prefill
from coreheads.adapters.patches import choice, dense, flash, window
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.structure import cache_argument, head_shape

pytestmark = pytest.mark.skipif("varlen" not in flash.kernels(), reason="this torch has no varlen_attn with a window")

K, GIB = 1024, 2**30
LONG = 128 * K
QWEN, INTERN = "Qwen/Qwen3-VL-8B-Instruct", "OpenGVLab/InternVL3_5-8B-HF"
LLAVA = "llava-hf/llava-onevision-qwen2-7b-ov-hf"


class Allocations(TorchDispatchMode):
    """Bytes that tensors made inside the block hold: now, at most, and of the largest one."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.largest = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(made, Tensor):
                self._note(made)
        return result

    def _note(self, made: Tensor) -> None:
        storage = made.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self._known:
            return
        self._known.add(name)
        weakref.finalize(storage, self._free, name, size)
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)

    def _free(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The candidates of a GPU, of which FlashAttention is taken."""
    offered: Callable[..., Any] = dense.full_kernels
    windows: Callable[..., Any] = window.window_kernels
    monkeypatch.setattr(dense, "full_kernels", lambda device, square: offered("cuda", square))
    monkeypatch.setattr(window, "window_kernels", lambda device: windows("cuda"))
    with choice.forced(full="varlen", window="varlen"):
        yield


@pytest.fixture(scope="module")
def qwen() -> Any:
    return build(QWEN)


def build(name: str) -> Any:
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(published.config(name), dtype=torch.bfloat16).eval()


def core(model: Any) -> Hybrid:
    """A few heads of every layer of the upper half, at the beginning of a KV head."""
    layers, heads, _ = head_shape(model)
    chosen = {(layer, head) for layer in range(layers // 2, layers) for head in range(heads // 10)}
    return Hybrid(frozenset(chosen), sink=128, window=1024)


def every(model: Any) -> Hybrid:
    """All heads, which is dense attention by the same kernel."""
    layers, heads, _ = head_shape(model)
    return Hybrid(frozenset((layer, head) for layer in range(layers) for head in range(heads)))


def run(model: Any, tokens: int, patch: Hybrid, cache: Any, chunk: int | None = None) -> tuple[Allocations, int]:
    """A prompt of text and two decoded tokens: everything made but weights and prompt, and what is held at the end."""
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    options = {cache_argument(model): cache, "use_cache": True, "logits_to_keep": 1}
    pieces = nullcontext() if chunk is None else chunked_prefill(model, chunk)
    with torch.inference_mode(), patch(model), Allocations() as counted:
        with pieces:
            model(input_ids=ids, position_ids=torch.arange(tokens, device="meta")[None], **options)
        for step in range(2):
            place = torch.full((1, 1), tokens + step, device="meta")
            logits = model(input_ids=ids[:, :1], position_ids=place, **options).logits
            assert logits.shape[:2] == (1, 1)
        return counted, counted.now


def roomy(model: Any, tokens: int) -> RoomyCache:
    return RoomyCache(head_shape(model)[0], tokens + 2)


@pytest.mark.parametrize(
    ("kernel", "name"), [("varlen", QWEN), ("varlen", INTERN), ("varlen", LLAVA), ("blocks", QWEN)]
)
def test_a_long_prompt_makes_nothing_of_tokens_by_tokens(kernel: str, name: str) -> None:
    model, tokens = build(name), 48 * K
    text = model.config.text_config
    with choice.forced(window=kernel):
        counted, _ = run(model, tokens, core(model), core(model).cache(model))
    # the MLP's activations, two bytes a number; a byte a pair of tokens, and one head, would be more
    assert counted.largest <= 2 * tokens * text.intermediate_size < tokens**2


def test_memory_at_128k_tokens(qwen: Any) -> None:
    patch = core(qwen)
    dense_run, dense_held = run(qwen, LONG, every(qwen), roomy(qwen, LONG))
    hybrid, held = run(qwen, LONG, patch, patch.cache(qwen))
    ceiling, _ = run(qwen, LONG, replace(patch, local=False), patch.cache(qwen))
    assert dense_held == pytest.approx(18 * GIB, rel=0.01)  # keys and values: 144 KiB a token
    # buffers of the full KV heads have room to grow, by a quarter at most
    assert patch.kv_ratio(qwen, LONG) <= held / dense_held <= 1.3 * patch.kv_ratio(qwen, LONG)
    assert hybrid.peak < 0.5 * dense_run.peak
    assert hybrid.peak <= 1.001 * ceiling.peak  # an MLP takes the most, not windowed attention


def test_in_pieces_the_peak_is_the_embeddings_the_cache_and_a_piece(qwen: Any) -> None:
    patch, tokens = core(qwen), 256 * K
    counted, held = run(qwen, tokens, patch, patch.cache(qwen), chunk=16 * K)
    embeddings = 2 * tokens * qwen.config.text_config.hidden_size
    whole, _ = run(qwen, 16 * K, patch, patch.cache(qwen))
    assert counted.peak <= embeddings + 1.5 * held + 1.2 * whole.peak


def test_what_ram_holds_beside_a_plain_prefill(qwen: Any) -> None:
    """32 rows at 128k tokens: less than a twentieth more than the prefill alone, weights included in both."""
    weights = sum(part.numel() * part.element_size() for part in qwen.parameters())
    plain, _ = run(qwen, LONG, every(qwen), roomy(qwen, LONG))
    rows, columns = torch.arange(LONG - 32, LONG), torch.arange(256)
    with collect_mass(qwen, rows, [columns]):
        measured, _ = run(qwen, LONG, every(qwen), roomy(qwen, LONG))
    assert measured.peak + weights <= 1.05 * (plain.peak + weights)
    assert measured.peak > 0
