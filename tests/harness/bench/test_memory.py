"""Long prompts in published shapes: what they allocate on a GPU, counted without one."""

from __future__ import annotations

import pytest
import torch

from coreheads import Hybrid
from coreheads.adapters.checkpoints.shapes import weight_bytes
from coreheads.adapters.kernels import autotune, flash
from coreheads.adapters.patches.mass import collect_mass
from coreheads.bench.memory import Allocations, Need, need
from coreheads.bench.settings import Plan
from coreheads.bench.target import Target, shapes
from coreheads.cli import main
from coreheads.limits import GIB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("varlen" not in flash.kernels(), reason="this torch has no varlen_attn with a window"),
]

K = 1024
LONG = 128 * K
QWEN, INTERN = "Qwen/Qwen3-VL-8B-Instruct", "OpenGVLab/InternVL3_5-8B-HF"
LLAVA = "llava-hf/llava-onevision-qwen2-7b-ov-hf"


@pytest.fixture(scope="module")
def qwen() -> Target:
    return shapes(QWEN, "bfloat16")


@pytest.fixture(scope="module")
def dense(qwen: Target) -> Need:
    return need(qwen, LONG, Plan())


def core(target: Target) -> Hybrid:
    """A few heads of every layer of the upper half, at the beginning of a KV head."""
    layers, heads, _ = target.shape
    chosen = {(layer, head) for layer in range(layers // 2, layers) for head in range(heads // 10)}
    return Hybrid(frozenset(chosen), sink=128, window=1024)


def test_what_is_held_and_what_was_let_go_are_counted() -> None:
    with Allocations() as counted:
        kept = torch.empty(100, dtype=torch.int8, device="meta")
        view = kept[:50]
        gone = torch.empty(1000, dtype=torch.int8, device="meta")
        assert counted.now == 1100
        del gone
        kept.add_(1)
        again = torch.empty(10, dtype=torch.int8, device="meta")
    assert (counted.now, counted.peak, counted.largest) == (110, 1100, 1000)
    del view, again


@pytest.mark.parametrize(("kernel", "name"), [("varlen", INTERN), ("varlen", LLAVA), ("blocks", QWEN)])
def test_a_long_prompt_makes_nothing_of_tokens_by_tokens(
    kernel: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, tokens = shapes(name, "bfloat16"), 48 * K
    forced = autotune.forced
    monkeypatch.setattr(autotune, "forced", lambda **kernels: forced(**{**kernels, "window": kernel}))
    # the MLP's activations, two bytes a number; a byte a pair of tokens, of one head alone, would be more
    widest = 2 * tokens * target.model.config.text_config.intermediate_size
    assert need(target, tokens, Plan(), core(target)).largest <= widest < tokens**2


def test_memory_at_128k_tokens(qwen: Target, dense: Need) -> None:
    patch = core(qwen)
    hybrid = need(qwen, LONG, Plan(), patch)
    assert dense.cache == pytest.approx(18 * GIB, rel=0.01)  # keys and values: 144 KiB a token
    # buffers of the full KV heads have room to grow, by a quarter at most
    assert patch.kv_ratio(qwen.model, LONG) <= hybrid.cache / dense.cache <= 1.3 * patch.kv_ratio(qwen.model, LONG)
    assert hybrid.peak < 0.5 * dense.peak
    assert hybrid.largest == 2 * LONG * qwen.model.config.text_config.intermediate_size  # of an MLP, not of attention


def test_in_pieces_the_peak_is_the_embeddings_the_cache_and_a_piece(qwen: Target) -> None:
    patch, tokens = core(qwen), 256 * K
    counted = need(qwen, tokens, Plan(prefill_chunk=16 * K), patch)
    embeddings = 2 * tokens * qwen.model.config.text_config.hidden_size
    piece = need(qwen, 16 * K, Plan(), patch)
    assert counted.peak <= embeddings + 1.5 * counted.cache + 1.2 * piece.peak


def test_what_ram_holds_beside_a_plain_prefill(qwen: Target, dense: Need) -> None:
    """32 rows at 128k tokens: less than a twentieth more than the prefill alone, weights included in both."""
    with collect_mass(qwen.model, torch.arange(LONG - 32, LONG), [torch.arange(256)]) as mass:
        measured = need(qwen, LONG, Plan())
    assert len(mass._sums) == qwen.shape[0]
    assert dense.peak < measured.peak + weight_bytes(qwen.model) <= 1.05 * (dense.peak + weight_bytes(qwen.model))


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["bench", "Qwen/Qwen3-VL-4B", "--dry-run", "--context", "2k,4k", "--fraction", "0.1"]
    assert main([*given, "--prefill-chunk", "1024", "--batch", "2"]) == 0
    printed = capsys.readouterr().out
    assert "Qwen/Qwen3-VL-4B-Instruct, bfloat16, batch 2, in pieces of 1,024 tokens: weights 8.3 GiB" in printed
    lines = [line for line in printed.splitlines() if line.lstrip().startswith(("2,048", "4,096"))]
    assert len(lines) == 6  # dense, clustered, scattered
    assert "1.1" in lines[3].split()  # 4,096 tokens x 2 prompts x 144 KiB
    monkeypatch.setattr(flash, "kernels", dict)
    assert main(given) == 2
    assert "needs torch 2.11" in capsys.readouterr().err
    assert main(["bench", "Qwen/Qwen3-VL-5B", "--dry-run"]) == 2
    assert "no known shape" in capsys.readouterr().err
