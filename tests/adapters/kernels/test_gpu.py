"""Every kernel on a GPU against a float32 reference, and no worse than dense attention's own rounding.

Skipped where torch sees no GPU. It needs pytest and torch alone: no network, no checkpoint.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from coreheads.adapters.kernels import autotune, by_head, dense, window
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.visibility import Local, group_heads

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")]

LENGTHS = [1, 127, 1000, 2049, 4500]
"""Off the block size, and the shortest ones that a pattern has something to leave out at."""
SHAPES = [(32, 8, 128), (28, 4, 128), (14, 2, 64)]
SINK, WINDOW = 128, 1024
ONE_PASS = 1.05
"""Of the dense kernel's own error, which differs by 2 % from one draw of numbers to the next."""
MERGED = 1.25
"""The same for kernels that round two parts before they weigh them, once more than one pass does: up to 1.18 times the
dense kernel's error where the rounding is simulated (``test_patches_window``). A wrong pattern is off by far more.
"""
FEW_ROWS = 1.5
"""The same for less than a block of rows, whose errors are few numbers."""


def states(heads: int, kv_heads: int, width: int, rows: int, columns: int, batch: int = 1) -> list[torch.Tensor]:
    """Fresh random numbers every time."""
    shapes = [(heads, rows), (kv_heads, columns), (kv_heads, columns)]
    return [torch.randn(batch, *shape, width, device="cuda", dtype=torch.bfloat16) for shape in shapes]


def reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, sink: int, width: int
) -> torch.Tensor:
    """A masked softmax in float32, a head at a time."""
    rows, columns = query.shape[2], key.shape[2]
    places = torch.arange(columns - rows, columns, device="cuda")[:, None]
    tokens = torch.arange(columns, device="cuda")[None]
    seen = (tokens <= places) & ((tokens < sink) | (places - tokens < width))
    output = torch.empty(query.shape[0], rows, query.shape[1], value.shape[3], device="cuda")
    repeats = query.shape[1] // key.shape[1]
    for sample, head in itertools.product(range(query.shape[0]), range(query.shape[1])):
        scores = query[sample, head].float() @ key[sample, head // repeats].float().T * scaling
        weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), -1)
        output[sample, :, head] = weights @ value[sample, head // repeats].float()
    return output


def error(output: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference over that of the values."""
    return float((output.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt())


@pytest.fixture(autouse=True)
def poison() -> Any:
    """Memory that is handed out anew holds NaN."""
    blocks = [torch.full((64 << 20,), float("nan"), device="cuda", dtype=torch.bfloat16) for _ in range(4)]
    del blocks
    return None


def offered(kind: str) -> list[str]:
    if not torch.cuda.is_available():
        return ["skipped"]
    return list(window.window_kernels("cuda") if kind == "window" else dense.full_kernels("cuda", True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("before", [0, 700])
@pytest.mark.parametrize("rows", LENGTHS)
@pytest.mark.parametrize("name", offered("window"))
def test_windowed_attention(name: str, rows: int, before: int, shape: tuple[int, int, int]) -> None:
    query, key, value = states(*shape, rows, rows + before)
    scaling = shape[2] ** -0.5
    try:
        output = window.window_kernels("cuda")[name](query, key, value, scaling, SINK, WINDOW)
    except RuntimeError as failure:
        pytest.skip(f"{name} does not run here: {str(failure).splitlines()[0]}")
    of_dense = error(
        dense.full_attention(query, key, value, scaling), reference(query, key, value, scaling, 0, rows + before)
    )
    bound = FEW_ROWS if rows < 100 else ONE_PASS if name in ("blocks", "flex") else MERGED
    assert error(output, reference(query, key, value, scaling, SINK, WINDOW)) <= bound * of_dense


@pytest.mark.parametrize("heads", [(3,), (3, 4, 17), (8, 9, 10, 11), tuple(range(32))], ids=str)
@pytest.mark.parametrize(("rows", "before"), [(2, 0), (1000, 0), (2049, 700), (4500, 0)])
@pytest.mark.parametrize("name", by_head.hybrid_kernels("cuda", True))
def test_heads_that_read_everything_beside_others(name: str, rows: int, before: int, heads: tuple[int, ...]) -> None:
    query, key, value = states(32, 8, 128, rows, rows + before)
    output = by_head.hybrid_kernels("cuda", True)[name](query, key, value, 0.09, heads, SINK, WINDOW)
    full, local = (reference(query, key, value, 0.09, *pattern) for pattern in ((0, rows + before), (SINK, WINDOW)))
    chosen = torch.tensor([h in heads for h in range(32)], device="cuda")[:, None]
    assert error(output, torch.where(chosen, full, local)) < 5e-3


@pytest.mark.parametrize("before", [0, 700])
@pytest.mark.parametrize("rows", [2, 1000, 2049])
@pytest.mark.parametrize("name", offered("full"))
def test_full_attention(name: str, rows: int, before: int) -> None:
    query, key, value = states(8, 2, 128, rows, rows + before)
    kernel = dense.full_kernels("cuda", before == 0)[name]
    try:
        output = kernel(query, key, value, 0.09)
    except (RuntimeError, NotImplementedError) as failure:
        pytest.skip(f"{name} does not run here: {str(failure).splitlines()[0]}")
    assert error(output, reference(query, key, value, 0.09, 0, rows + before)) < 5e-3


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("rows", "before"), [(3001, 0), (517, 2000), (1, 3000)])
def test_heads_under_their_rules(rows: int, before: int, batch: int) -> None:
    """As a layer calls it: three heads full, the others windowed."""
    heads = {3, 4, 17}
    groups = group_heads(32, [{h: Local(SINK, WINDOW) for h in range(32) if h not in heads}])
    query, key, value = states(32, 8, 128, rows, rows + before, batch)
    output = attend(query, key, value, 0.09, groups, None)
    full, local = (reference(query, key, value, 0.09, *pattern) for pattern in ((0, rows + before), (SINK, WINDOW)))
    chosen = torch.tensor([h in heads for h in range(32)], device="cuda")[:, None]
    assert error(output, torch.where(chosen, full, local)) < 5e-3


def test_what_was_chosen_is_told() -> None:
    query, key, value = states(32, 8, 128, 3001, 3001)
    window.windowed(query, key, value, 0.09, SINK, WINDOW)
    results = [result for signature, result in autotune.choices().items() if signature.startswith("window")]
    assert results
    for result in results:
        print(result)
        assert result.name in result.seconds
