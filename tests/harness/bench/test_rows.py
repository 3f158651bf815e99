"""Rows, crossovers and spreads whose arithmetic is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from coreheads.bench.heads import SPREADS, spread
from coreheads.bench.rows import Condition, Row, crossover, rows_of, series, whole
from coreheads.bench.text import draw, panel, report
from coreheads.errors import UserError

COMMON: Condition = {
    "model": "a/b", "weights": "random", "device": "x", "dtype": "float32", "context": 1024, "batch": 1,
    "selection": "top", "fraction": 0.05, "sink": 4, "window": 64,
    "kv_bytes_ratio": 0.25, "peak_memory_ratio": None, "repeats": 11,
}  # fmt: skip
KERNELS = {"prefill": "sdpa", "decode": "packed"}


def made(context: int = 1024, dense: float = 3.0, hybrid: float = 1.5) -> list[Row]:
    def times(prefill: float) -> dict[str, list[float]]:
        return {"prefill": [prefill] * 10 + [50.0], "decode": [0.1] * 11, "vision": [], "preprocess": []}

    found = [times(dense), times(hybrid), times(1.0)]
    for part in found:
        part["end_to_end"] = whole(part, 10)
    return rows_of({**COMMON, "context": context}, *found, KERNELS)


def test_a_phase_without_times_takes_no_part() -> None:
    times: dict[str, list[float]] = {"prefill": [2.0, 3.0], "decode": [0.5, 0.25], "vision": [], "preprocess": [1, 1]}
    assert whole(times, 4) == [5.0, 5.0]
    with pytest.raises(KeyError, match="vision"):
        whole({"prefill": [2.0], "decode": [0.5], "preprocess": []}, 4)


def test_rows_are_ratios_of_medians() -> None:
    prefill, decode, whole = made()
    assert tuple(prefill) == tuple(Row.__annotations__)
    assert (prefill["phase"], decode["phase"], whole["phase"]) == ("prefill", "decode", "end_to_end")
    assert (prefill["dense_ms"], prefill["hybrid_ms"], prefill["speedup"]) == (3000, 1500, 2)
    assert (prefill["ceiling"], prefill["ceiling_share"]) == (3, pytest.approx(2 / 3))
    assert prefill["speedup_ci"] == [2, 2]
    assert (decode["dense_ms"], decode["dense_kernel"], prefill["dense_kernel"]) == (100, "packed", "sdpa")
    assert whole["dense_ms"] == pytest.approx(4000)
    assert whole["dense_kernel"] == "sdpa+packed"
    assert whole["kv_bytes_ratio"] == 0.25
    assert whole["peak_memory_ratio"] is None


@pytest.mark.parametrize(
    ("points", "length", "words"),
    [
        ([(1024, 0.5), (4096, 1.5)], 2048, "faster from about 2,048 tokens on (between 1,024 and 4,096)"),
        ([(1024, 1.2), (2048, 1.4)], None, "faster at every length measured, from 1,024 tokens on"),
        ([(2048, 0.9), (1024, 0.8)], None, "not faster at 2,048 tokens, the longest measured"),
        # faster, slower, faster again: the last crossing counts
        ([(512, 1.1), (1024, 1.0), (4096, 2.0)], 1024, "faster from about 1,024 tokens on"),
    ],
)
def test_the_crossover(points: list[tuple[int, float]], length: float | None, words: str) -> None:
    found, said = crossover(points)
    assert found == (None if length is None else pytest.approx(length))
    assert said.startswith(words)


def test_report_and_picture(tmp_path: Path) -> None:
    both = [*made(1024, 1.0, 2.0), *made(4096, 3.0, 1.5)]
    tried = {"chosen": "flex", "seconds": {"passes": 0.25, "flex": 0.0123}, "failed": {"skipping": "out of memory"}}
    contexts = [{"context": 1024, "hybrid_kernels": {"hybrid H200 32": tried}}, {"context": 4096, "out_of_memory": ""}]
    details = {"kv_heads_full": {"top": [3, 16]}, "heads": {"top": 7}, "decode_tokens": 10, "contexts": contexts}
    text = report(both, details)
    assert "Weights were random" in text
    assert "top: 7 heads attend fully; 3 of 16 KV heads keep all tokens" in text
    assert "Not measured: preprocess, vision" in text
    assert "Kernel hybrid H200 32: flex, of passes 250, flex 12.3 ms a call; skipping: out of memory\n" in text
    length = math.exp(math.log(1024) + math.log(4) * 0.5 / 1.5)
    assert f"faster from about {length:,.0f} tokens on" in text
    drawn = draw(both, tmp_path / "b.png")
    assert drawn is not None
    assert drawn.stat().st_size > 5000
    (line,) = series(both, "prefill").values()
    assert [row["context"] for row in line] == [1024, 4096]
    assert "Peak memory was not measured" in text
    on_gpu = report([row | {"peak_memory_ratio": 0.625} for row in both], details)
    assert "peak memory" in on_gpu
    assert "0.62" in on_gpu
    assert "Peak memory was not measured" not in on_gpu
    assert report([], details).startswith("Nothing was measured")


def test_what_the_picture_says() -> None:
    both = [*made(1024, 1.0, 2.0), *made(4096, 3.0, 1.5)]
    spec = panel(both, "decode").to_dict()
    assert spec["title"] == "decoding, a token"
    spec = panel(both, "prefill").to_dict()
    lines, _, intervals, dense, *crossings = spec["layer"]

    def values(layer: dict[str, Any]) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = spec["datasets"][layer["data"]["name"]]
        return shown

    points = [(point["tokens"], point["kind"], point["y"]) for point in values(lines)]
    assert points == [(1024, "hybrid", 0.5), (1024, "ceiling", 1), (4096, "hybrid", 2), (4096, "ceiling", 3)]
    assert [(point["low"], point["high"]) for point in values(intervals)[::2]] == [(0.5, 0.5), (2, 2)]
    assert values(dense) == [{"y": 1, "kind": "dense"}]
    assert lines["encoding"]["color"]["scale"]["domain"] == ["b, top 5 % of heads, sink 4, window 64"]
    length = math.exp(math.log(1024) + math.log(4) * 0.5 / 1.5)
    for layer in crossings:
        assert [mark["text"] for mark in values(layer)] == [f"{length:,.0f}"]


@pytest.mark.parametrize("shape", [(36, 32, 8), (64, 64, 8), (28, 28, 4), (6, 16, 8), (2, 8, 4)])
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 1.0])
def test_spreads(shape: tuple[int, int, int], fraction: float) -> None:
    layers, heads, kv_heads = shape
    count = max(1, round(fraction * layers * heads))
    full = {}
    for kind in SPREADS:
        chosen = spread(kind, fraction, *shape)
        assert len(chosen) == count
        assert all(0 <= layer < layers and 0 <= head < heads for layer, head in chosen)
        assert chosen == spread(kind, fraction, *shape)
        full[kind] = len({(layer, head * kv_heads // heads) for layer, head in chosen})
    # scattered heads share no KV head while there are enough of them, clustered ones fill theirs
    assert full["scattered"] == min(count, layers * kv_heads)
    assert full["clustered"] == -(-count // (heads // kv_heads))
    if fraction == 0.05 and layers > 6:
        assert all(0.4 * layers - 1 <= layer < 0.9 * layers for layer, _ in spread("clustered", fraction, *shape))
        assert len({layer for layer, _ in spread("scattered", fraction, *shape)}) == min(count, layers)


def test_an_unknown_spread() -> None:
    with pytest.raises(UserError, match="--selection is 'even', expected one of clustered, scattered"):
        spread("even", 0.1, 2, 8, 4)
