"""The GPU's ways to sink + window attention, by the same code on a CPU: merged passes, block masks, the choice."""

from __future__ import annotations

import sys
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, states, window_mask
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from coreheads.adapters.kernels import autotune, flash, flex, window
from coreheads.adapters.kernels.dense import full_attention, full_kernels
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.work import causal_pairs, counted

quick = settings(max_examples=25, deadline=None)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))  # batch, KV heads, query heads each


@quick
@given(shapes, st.integers(2, 300), st.integers(0, 60), st.integers(0, 40), st.integers(1, 140))
def test_two_passes_merged_are_the_masked_one(
    shape: tuple[int, int, int], rows: int, before: int, sink: int, width: int
) -> None:
    query, key, value = states(*shape, rows, rows + before)
    mask = window_mask(rows, rows + before, sink, width).expand(shape[0], query.shape[1], -1, -1)
    output = window.merged(flash.reference, query, key, value, 0.3, sink, width)
    torch.testing.assert_close(output, dense(query, key, value, mask, 0.3), atol=1e-10, rtol=0)


def test_merged_parts_piece_by_piece_and_with_weights_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MERGED_ROWS", 7)
    query, key, value = states(1, 2, 2, 90, 90)
    query[:, :, 40:] *= 300  # one part then outweighs the other by hundreds of orders of magnitude
    mask = window_mask(90, 90, 5, 11).expand(1, 4, -1, -1)
    output = window.merged(flash.reference, query, key, value, 1.0, 5, 11)
    torch.testing.assert_close(output, dense(query, key, value, mask, 1.0), atol=1e-9, rtol=0)


def rounding(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What FlashAttention rounds: weights, relative to their row's largest, and outputs; it adds up in float32."""
    query, key, value, scaling, (left, right) = given
    places = torch.arange(key.shape[2] - query.shape[2], key.shape[2])[:, None]
    distance = places - torch.arange(key.shape[2])[None]
    hidden = ((distance > left) & (left >= 0)) | ((-distance > right) & (right >= 0))
    scores = (query.float() @ key.float().mT * scaling).masked_fill(hidden, float("-inf"))
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    sums = weights.sum(-1, keepdim=True)
    output = (weights.to(value.dtype).float() @ value.float() / sums).to(value.dtype)
    return output.transpose(1, 2), (scores.amax(-1) + sums[..., 0].log()).transpose(1, 2)


@pytest.mark.parametrize(("rows", "before", "sink", "width"), [(700, 0, 32, 128), (600, 300, 128, 256)])
def test_rounded_parts_merge_to_little_more_than_the_rounding_of_one_pass(
    rows: int, before: int, sink: int, width: int
) -> None:
    torch.manual_seed(3)
    query, key, value = (
        torch.randn(1, 2, length, 64).bfloat16() for length in (rows, rows + before, rows + before)
    )  # fmt: skip

    def error(output: torch.Tensor, visible: torch.Tensor) -> float:
        expected = dense(query.double(), key.double(), value.double(), visible.expand(1, 2, -1, -1), 0.125)
        return float((output - expected).square().mean().sqrt() / expected.square().mean().sqrt())

    merged = error(
        window.merged(rounding, query, key, value, 0.125, sink, width), window_mask(rows, rows + before, sink, width)
    )
    of_dense = error(rounding(query, key, value, 0.125, (-1, 0))[0], window_mask(rows, rows + before, 0, rows + before))
    assert 1e-3 < of_dense < 3e-3
    assert of_dense < merged < 1.25 * of_dense


def test_a_merge_that_cannot_be_compiled_still_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: Any, **__: Any) -> Any:
        def fails(*_: Any) -> torch.Tensor:
            raise RuntimeError("no C compiler")

        return fails

    parts = [torch.randn(1, 9, 2, 8), torch.randn(1, 9, 2), torch.randn(1, 9, 2, 8), torch.randn(1, 9, 2)]
    expected = window.merge(*(part.clone() for part in parts))
    monkeypatch.setattr(torch, "compile", no_compiler)
    window._fastest_merge.cache_clear()
    with pytest.warns(UserWarning, match="torch.compile does not work on cpu"):
        merge = window._fastest_merge(torch.device("cpu"))
    torch.testing.assert_close(merge(*parts), expected)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    window._fastest_merge.cache_clear()
    assert window._fastest_merge(torch.device("cpu")) is window._merge
    window._fastest_merge.cache_clear()


@quick
@given(st.integers(1, 500), st.integers(0, 300), st.integers(0, 200), st.integers(1, 400))
def test_block_masks_are_those_found_by_asking_every_pair(rows: int, before: int, sink: int, width: int) -> None:
    columns, cpu = rows + before, torch.device("cpu")
    made = flex.block_mask(rows, columns, sink, width, cpu)
    searched = create_block_mask(made.mask_mod, None, None, rows, columns, device="cpu")
    assert torch.equal(made.to_dense(), searched.to_dense())
    assert torch.equal(whole_blocks(made), whole_blocks(searched))
    touched = window_mask(rows, columns, sink, width)
    padded = (
        torch.nn.functional.pad(touched, (0, -columns % 128, 0, -rows % 128)).unfold(0, 128, 128).unfold(1, 128, 128)
    )
    assert flex.blocks(rows, columns, sink, width) == int(padded.any(-1).any(-1).sum())


def whole_blocks(mask: Any) -> torch.Tensor:
    listed, counts = mask.full_kv_indices[0, 0], mask.full_kv_num_blocks[0, 0]
    found = torch.zeros(listed.shape, dtype=torch.bool)
    for row, count in enumerate(counts.tolist()):
        found[row, listed[row, :count].long()] = True
    return found


@pytest.mark.parametrize(("rows", "columns", "sink", "width"), [(300, 300, 5, 40), (130, 333, 129, 70)])
def test_flex_attention_with_such_a_mask(
    rows: int, columns: int, sink: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)  # compiling takes half a minute here
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, rows, columns))
    mask = window_mask(rows, columns, sink, width).expand(1, 4, -1, -1)
    with counted() as work:
        output = flex.windowed(query, key, value, 0.3, sink, width)
    torch.testing.assert_close(output.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    filled = -rows % 128
    assert work["window"] == 4 * 128**2 * flex.blocks(rows + filled, columns + filled, sink, width)


def test_prompts_of_any_length_share_a_few_compiled_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[torch.Size] = set()

    def compiled(query: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        met.add(query.shape)
        return flex_attention(query, *given, **more)

    monkeypatch.setattr(flex, "_compiled", lambda: compiled)
    monkeypatch.setattr(flex, "_SHAPES", set())
    monkeypatch.setattr(flex, "SHAPES", 2)
    for rows in (130, 256, 131, 300, 600, 601, 200):
        query, key, value = (tensor.float() for tensor in states(1, 1, 2, rows, rows))
        mask = window_mask(rows, rows, 5, 40).expand(1, 2, -1, -1)
        output = flex.windowed(query, key, value, 0.3, 5, 40)
        assert output.shape == (1, rows, 2, 8)
        torch.testing.assert_close(output.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    # a third one is not compiled, but computed in blocks
    assert {size[2] for size in met} == {256, 384}


@given(st.integers(1, 1 << 18))
def test_few_lengths_are_compiled_for_and_little_is_filled_in(rows: int) -> None:
    filled = rows + -rows % flex.step(rows)
    assert filled % 128 == 0
    assert filled - rows < max(128, rows / 16)
    assert filled == rows or rows & (rows - 1) or rows < 128, "powers of two are taken as they are"
    assert len({n + -n % flex.step(n) for n in range(1 << 17, 1 << 18, 999)}) <= 17


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU would be offered, on a CPU: the device is no longer looked at."""
    kernels = {"varlen": flash.reference}
    monkeypatch.setattr(flash, "kernels", lambda: kernels)
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)
    monkeypatch.setattr(autotune, "_FOUND", {})


def test_the_candidates_of_a_gpu_agree_and_one_is_chosen(gpu: None) -> None:
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, 200, 260))
    candidates = window.window_kernels("cuda")
    assert list(candidates) == ["blocks", "varlen", "flex"]
    chosen = autotune.run("window", candidates, query, key, value, 0.3, 4, 33)
    (result,) = autotune.found().values()
    assert set(result.seconds) == set(candidates)
    assert result.failed == {}
    assert result.name == min(result.seconds, key=lambda name: result.seconds[name])
    mask = window_mask(200, 260, 4, 33).expand(1, 4, -1, -1)
    torch.testing.assert_close(chosen.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    # the same shape again measures nothing, lengths of the same power of two neither, another window does
    autotune.run("window", candidates, query, key, value, 0.3, 4, 33)
    autotune.run("window", candidates, query[:, :, 9:], key, value, 0.3, 4, 33)
    assert len(autotune.found()) == 1
    autotune.run("window", candidates, query, key, value, 0.3, 4, 34)
    assert len(autotune.found()) == 2


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
    (result,) = autotune.found().values()
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


def rounding_gqa(query: Any, key: Any, value: Any, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return rounding(query, *(states.repeat_interleave(2, 1) for states in (key, value)), *rest)


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


def test_varlen_is_called_as_each_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.12 it has no enable_gqa; before 2.11 no window, and is not offered."""
    calls: list[dict[str, Any]] = []

    def varlen_attn(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> Any:
        calls.append({"shapes": (query.shape, key.shape), "rest": rest, **options})
        whole = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
        output, lse = flash.reference(*whole, options["scale"], options["window_size"])
        return output[0], lse[0].transpose(0, 1)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    query, key, value = states(2, 2, 3, 20, 31)
    for known, gqa in ((("window_size", "enable_gqa"), True), (("window_size",), None)):
        monkeypatch.setattr(flash, "_varlen_parameters", lambda known=known: known)
        output, lse = flash.varlen(query, key, value, 0.3, (4, 0))
        expected = flash.reference(query, key, value, 0.3, (4, 0))
        torch.testing.assert_close((output, lse), expected, atol=1e-12, rtol=0)
        assert calls[-1].get("enable_gqa") is gqa
        assert calls[-1]["shapes"] == ((20, 6, 8), (31, 2, 8))
        assert [part.tolist() if isinstance(part, torch.Tensor) else part for part in calls[-1]["rest"]] == [
            [0, 20], [0, 31], 20, 31,
        ]  # fmt: skip
    flash.kernels.cache_clear()
    monkeypatch.setattr(flash, "_varlen_parameters", lambda: ("is_causal", "return_aux"))
    assert "varlen" not in flash.kernels()
    flash.kernels.cache_clear()


def test_work_is_counted_and_linear(gpu: None) -> None:
    """Twice the length is twice the work for windows, four times for full attention."""
    for kernel in (local_attention, partial(window.merged, flash.reference)):
        found = []
        for rows in (1000, 2000):
            query, key, value = states(1, 2, 2, rows, rows)
            with counted() as work:
                kernel(query, key, value, 0.3, 4, 64)
            found.append(work["window"])
        assert found[0] >= int(window_mask(1000, 1000, 4, 64).sum()) * 4
        assert 1.9 < found[1] / found[0] < 2.2
        assert found[1] < 0.1 * 4 * causal_pairs(2000, 2000)


@pytest.mark.parametrize(("name", "module"), flash.PACKAGES.items())
@pytest.mark.parametrize("asks", [True, False])
def test_installed_packages_are_offered_and_called_as_they_are(
    name: str, module: str, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both packages take tokens before heads; early releases of the second know no ``return_attn_probs``."""

    def attention(query: Any, key: Any, value: Any, scale: float, causal: bool, window: tuple[int, int]) -> Any:
        assert causal is (window[1] == 0)
        whole = (tensor.transpose(1, 2) for tensor in (query, key, value))
        output, lse = flash.reference(*whole, scale, window)
        return output, lse.transpose(1, 2), None

    def asked(
        q: Any, k: Any, v: Any, softmax_scale: Any, causal: Any, window_size: Any, return_attn_probs: Any = False
    ) -> Any:
        found = attention(q, k, v, softmax_scale, causal, window_size)
        return found if return_attn_probs else found[0]

    def unasked(q: Any, k: Any, v: Any, softmax_scale: Any, causal: Any, window_size: Any) -> Any:
        return attention(q, k, v, softmax_scale, causal, window_size)[:2]

    package = ModuleType(module)
    package.__spec__ = ModuleSpec(module, None)
    package.flash_attn_func = asked if asks else unasked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module, package)
    flash.kernels.cache_clear()
    try:
        kernel = flash.kernels()[name]
    finally:
        flash.kernels.cache_clear()
    query, key, value = states(2, 2, 3, 20, 31)
    for pattern in ((4, 0), (-1, 0), (-1, -1)):
        expected = flash.reference(query, key, value, 0.3, pattern)
        torch.testing.assert_close(kernel(query, key, value, 0.3, pattern), expected, atol=1e-12, rtol=0)
