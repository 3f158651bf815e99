"""What makes ``coreheads bench`` fail: wrong outputs, work that does not shrink, a cache that keeps too much."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_cases import QUICK, run

from coreheads.adapters.kernels import dispatch, window
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.visibility import Group, Local
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.check import BenchError, check
from coreheads.bench.target import Target, load
from coreheads.cli import main


def test_wrong_outputs_fail(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(query: Any, key: Any, value: Any, scaling: float, sink: int, width: int, output: Any = None) -> Any:
        return local_attention(query, key, value, scaling, sink, width + 1, output)

    monkeypatch.setattr(window, "local_attention", shifted)
    with pytest.raises(BenchError, match="differs from the masked reference"):
        run(target)


def test_outputs_that_are_no_numbers_fail(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        return local_attention(*given).fill_(float("nan"))

    monkeypatch.setattr(window, "local_attention", broken)
    with pytest.raises(BenchError, match="masked reference by nan"):
        run(target)


def masked(query: Any, key: Any, value: Any, scaling: float, sink: int, width: int, output: Any = None) -> Any:
    """Right, and as much work as dense attention."""
    group = Group(tuple(range(query.shape[1])), (Local(sink, width),))
    found = dispatch.masked_attention(query, key, value, scaling, group, None)
    return found if output is None else output.copy_(found)


def test_work_that_does_not_shrink_fails(
    target: Target,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(window, "local_attention", masked)
    # so short that the whole prompt is a block: nothing can be saved, and that is no error
    checked = check(target, target.workload(270), "short", Hybrid({(0, 0)}, 4, 16), None)
    assert checked["work"]["window"] == 0
    arguments = ["bench", str(small_model), "--context", "900", "--fraction", "0.1", "--device", "cpu", *QUICK]
    assert main([*arguments, "--out", str(tmp_path / "b.json")]) == 1
    message = capsys.readouterr().err
    assert "the work of the sparse heads does not shrink" in message
    assert not (tmp_path / "b.json").exists()


def test_a_cache_that_keeps_everything_fails(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [list(range(4))] * 2
    monkeypatch.setattr(Hybrid, "full_kv_heads", lambda self, model: every)
    monkeypatch.setattr(Hybrid, "kv_ratio", lambda self, model, tokens: 0.5)
    with pytest.raises(BenchError, match="KV cache keeps"):
        run(target)


def test_a_wrong_cache_fails(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.adapters.kernels.evicting_cache import EvictingLayer

    monkeypatch.setattr(EvictingLayer, "_targets", lambda self, first, last: iter([(max(first, 0), 0, 1)]))
    with pytest.raises(BenchError, match="evicting cache differ"):
        run(target)


@pytest.mark.parametrize(("sink", "wide"), [(0, 1), (0, -1), (-1, 0)])
def test_small_mistakes_are_seen_in_bfloat16(
    small_model: Path, sink: int, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = load(str(small_model), False, "cpu", "bfloat16")
    patch = Hybrid({(0, 1), (1, 5)}, 4, 30)
    assert 1e-4 < check(rounded, rounded.workload(700), "x", patch, None)["row_error"] < 0.01

    def wrong(query: Any, key: Any, value: Any, scaling: float, sinks: int, width: int, output: Any = None) -> Any:
        return local_attention(query, key, value, scaling, sinks + sink, width + wide, output)

    monkeypatch.setattr(window, "local_attention", wrong)
    with pytest.raises(BenchError, match="differs from the masked reference"):
        check(rounded, rounded.workload(700), "x", patch, None)


def test_what_is_timed_in_pieces_is_checked_in_pieces(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.adapters.kernels.evicting_cache import EvictingLayer

    ordered = EvictingLayer.ordered
    # of use only to a piece with others before it
    monkeypatch.setattr(EvictingLayer, "ordered", lambda *given: tuple(0 * part for part in ordered(*given)))
    patch = Hybrid({(0, 1)}, 4, 30)
    check(target, target.workload(500), "x", patch, None)
    with pytest.raises(BenchError, match="evicting cache differ"):
        check(target, target.workload(500), "x", patch, 100)


def test_the_check_holds_one_cache_at_a_time(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    held: list[weakref.ref[Any]] = []
    forward = Target.forward

    def watched(self: Target, cache: Any, **inputs: Any) -> torch.Tensor:
        if not any(known() is cache for known in held):
            held.append(weakref.ref(cache))
        alive.append(sum(known() is not None for known in held))
        return forward(self, cache, **inputs)

    monkeypatch.setattr(Target, "forward", watched)
    check(target, target.workload(300), "x", Hybrid({(0, 1)}, 4, 30), None)
    assert len(held) == 2
    assert set(alive) == {1}


def test_rows_are_checked_in_chunks_too(target: Target) -> None:
    whole, pieces = (
        check(target, target.workload(500), "x", Hybrid({(0, 1), (1, 5)}, 4, 30), chunk) for chunk in (None, 77)
    )
    assert whole["row_error"] < 1e-5
    assert pieces["row_error"] < 1e-5
