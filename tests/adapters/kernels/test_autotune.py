"""Which kernel runs: candidates that agree, the fastest of them, and why one is left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flash_reference import rounding_gqa
from patches_oracle import dense, states, window_mask

from coreheads.adapters.kernels import autotune, window
from coreheads.adapters.kernels.dense import full_attention, full_kernels
from coreheads.adapters.kernels.local import local_attention


def test_the_candidates_of_a_gpu_agree_and_one_is_chosen(gpu: None) -> None:
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, 200, 260))
    candidates = window.window_kernels("cuda")
    assert list(candidates) == ["blocks", "varlen", "flex"]
    chosen = autotune.run("window", candidates, query, key, value, 0.3, 4, 33)
    (result,) = autotune.choices().values()
    assert set(result.seconds) == set(candidates)
    assert result.failed == {}
    assert result.name == min(result.seconds, key=lambda name: result.seconds[name])
    mask = window_mask(200, 260, 4, 33).expand(1, 4, -1, -1)
    torch.testing.assert_close(chosen.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    # the same shape again measures nothing, lengths of the same power of two neither, another window does
    autotune.run("window", candidates, query, key, value, 0.3, 4, 33)
    autotune.run("window", candidates, query[:, :, 9:], key, value, 0.3, 4, 33)
    assert len(autotune.choices()) == 1
    autotune.run("window", candidates, query, key, value, 0.3, 4, 34)
    assert len(autotune.choices()) == 2


def test_a_wrong_or_failing_candidate_is_left_out(gpu: None) -> None:
    def fails(*_: Any) -> torch.Tensor:
        raise RuntimeError("no kernel for this head size\nand more")

    def shifted(*given: Any) -> torch.Tensor:
        return local_attention(*given[:-1], given[-1] + 1)

    def none_at_all(*given: Any) -> torch.Tensor:
        return local_attention(*given) * float("nan")

    candidates = {"blocks": local_attention, "fails": fails, "shifted": shifted, "nan": none_at_all}
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, 200, 200))
    with pytest.warns(UserWarning, match="differs from the reference"):
        output = autotune.run("window", candidates, query, key, value, 0.3, 2, 5)
    (result,) = autotune.choices().values()
    assert result.name == "blocks"
    assert set(result.failed) == {"fails", "shifted", "nan"}
    assert result.failed["fails"] == "no kernel for this head size"
    torch.testing.assert_close(output, local_attention(query, key, value, 0.3, 2, 5))
    with pytest.raises(RuntimeError, match="no attention kernel runs here"):
        autotune.run("window", {"a": fails, "b": fails}, query, key, value, 0.3, 2, 5, 0)


@pytest.mark.parametrize("rows", [1, 7, 8, 30])
def test_results_are_compared_piece_by_piece(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "ROWS", 8)
    reference = torch.randn(2, rows, 3, 4)
    assert autotune.agrees(reference + 1e-5, reference)
    for place in {0, rows // 2, rows - 1}:
        for wrong in (9.0, float("nan")):
            output = reference.clone()
            output[1, place, 2, 3] = wrong
            assert not autotune.agrees(output, reference)
    assert not autotune.agrees(reference[:, :-1], reference)


@pytest.mark.parametrize(("sink", "wide"), [(0, 1), (0, -8), (-8, 0)])
def test_small_mistakes_of_a_kernel_are_seen_in_bfloat16(sink: int, wide: int) -> None:
    torch.manual_seed(4)
    query, key, value = (torch.randn(1, heads, 3000, 64).bfloat16() for heads in (2, 1, 1))
    right = local_attention(query, key, value, 0.125, 128, 1024)
    assert autotune.agrees(window.merged(rounding_gqa, query, key, value, 0.125, 128, 1024), right)
    assert not autotune.agrees(local_attention(query, key, value, 0.125, 128 + sink, 1024 + wide), right)


def test_when_nothing_fits_it_is_a_matter_of_memory(gpu: None) -> None:
    def large(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    query, key, value = states(1, 1, 2, 30, 30)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        autotune.run("window", {"a": large, "b": large}, query, key, value)


def test_a_kernel_can_be_asked_for(gpu: None) -> None:
    query, key, value = states(1, 1, 2, 30, 30)
    candidates = {"one": lambda *_: torch.ones(1), "two": lambda *_: torch.zeros(1)}
    with autotune.forced(window="two"):
        assert float(autotune.run("window", candidates, query, key, value)) == 0
        with autotune.forced(window="one"):
            assert float(autotune.run("window", candidates, query, key, value)) == 1
    with autotune.forced(window="three"), pytest.raises(ValueError, match="expected one of one, two"):
        autotune.run("window", candidates, query, key, value)


@pytest.mark.parametrize(("rows", "columns"), [(140, 140), (50, 140)])
def test_the_dense_candidates_of_a_gpu_are_causal_from_the_last_key(gpu: None, rows: int, columns: int) -> None:
    query, key, value = states(1, 2, 3, rows, columns)
    mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows).expand(1, 6, -1, -1)
    expected = dense(query, key, value, mask, 0.3)
    offered = full_kernels("cuda", rows == columns)
    assert {"sdpa", "sdpa-flash", "sdpa-cudnn", "sdpa-efficient", "varlen"} <= set(offered)
    for name in ("sdpa", "varlen"):
        torch.testing.assert_close(offered[name](query, key, value, 0.3), expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(full_attention(query, key, value, 0.3), expected, atol=1e-10, rtol=0)
