"""A benchmark of something wrong is worth nothing: the checks that make ``coreheads bench`` fail.

At the very length that is timed, on the model's own queries and keys, a sample of rows of every layer is computed with
a dense masked softmax in at least float32 and compared with what the kernels gave; the pairs of queries and keys that
the kernels were given are counted; decoding over the evicting cache is compared with decoding over a plain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from coreheads.adapters.cache import RoomyCache
from coreheads.adapters.chunked_prefill import chunked_prefill
from coreheads.adapters.patches.base import Patch, Step
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.work import causal_pairs, counted
from coreheads.bench_target import Target, Workload

ROWS = 24
"""Rows of every layer that are compared."""
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float64: 1e-9}
"""Largest difference of a layer's sampled outputs, over their largest magnitude. bfloat16 rounds to 2^-9 of a value,
in the weights, in the output, and where two parts are merged."""
LOGITS = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 3e-2, torch.float64: 1e-8}
"""Root mean square of the difference of logits, over their own: rounding that went through all layers."""
SPARE = 2 * 128
"""Keys that a query may be given beyond sink + window, because kernels work in blocks."""


class BenchError(Exception):
    """What was measured is not what it says: the benchmark must not be believed. One line."""


class RowCheck(Patch):
    """Compares sampled rows of every layer's heads with a dense masked softmax on the same queries and keys."""

    name: ClassVar[str] = "row-check"
    observes = True

    def __init__(self, hybrid: Hybrid, tokens: int) -> None:
        self.hybrid = hybrid
        edges = [0, hybrid.sink + hybrid.window - 1, hybrid.sink + hybrid.window, tokens - 1]
        drawn = torch.randint(0, tokens, (ROWS,), generator=torch.Generator().manual_seed(tokens)).tolist()
        self.rows = torch.tensor(sorted({row for row in [*edges, *drawn] if 0 <= row < tokens}))
        self.errors: dict[int, float] = {}
        self._output: dict[int, Tensor] = {}
        self._first = 0

    def observe(self, step: Step) -> None:
        """Keep the expected rows; chunked prefill sees them chunk by chunk."""
        if step.sample:
            return
        total, count = step.key.shape[2], step.query.shape[2]
        self._first = total - count
        mine = self._mine(count)
        self._output[step.layer] = masked_softmax(self.hybrid, step, mine.to(step.query.device))

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Compare; the output stays as it is."""
        mine = (self._mine(output.shape[1]) - self._first).to(output.device)
        expected = self._output.pop(layer)
        if len(mine):
            got = output[0, mine].to(expected.dtype)
            error = float((got - expected).abs().amax() / expected.abs().amax())
            if not error <= self.errors.get(layer, 0.0):  # also when it is no number
                self.errors[layer] = error
        return output

    def _mine(self, count: int) -> Tensor:
        return self.rows[(self.rows >= self._first) & (self.rows < self._first + count)]


def masked_softmax(hybrid: Hybrid, step: Step, rows: Tensor) -> Tensor:
    """The definition, for some rows [R] of the first sample: -> [R, heads, head_dim] in at least float32."""
    exact = torch.promote_types(step.query.dtype, torch.float32)
    total = step.key.shape[2]
    offset = total - step.query.shape[2]
    columns = torch.arange(total, device=rows.device)
    repeats = step.query.shape[1] // step.key.shape[1]
    near = (columns < hybrid.sink)[None] | (rows[:, None] - columns[None] < hybrid.window)
    causal = columns[None] <= rows[:, None]
    outputs = []
    for head in range(step.query.shape[1]):
        seen = causal if (step.layer, head) in hybrid.heads else causal & near
        key, value = (states[0, head // repeats].to(exact) for states in (step.key, step.value))
        scores = step.query[0, head, rows - offset].to(exact) @ key.T * step.scaling
        outputs.append(torch.softmax(scores.masked_fill(~seen, float("-inf")), -1) @ value)
    return torch.stack(outputs, 1)


@torch.inference_mode()
def check(target: Target, workload: Workload, name: str, patch: Hybrid, prefill_chunk: int | None) -> dict[str, Any]:
    """Run the prompt once and raise BenchError for wrong outputs or work that was not saved; gives what was found."""
    patch = patch.on(target.model)
    rows, cache = RowCheck(patch, workload.tokens), RoomyCache(target.shape[0], workload.tokens + 4)
    with ExitStack() as stack:
        stack.enter_context(target.remembering())
        stack.enter_context(patch(target.model))
        work = stack.enter_context(counted())
        with rows(target.model), ExitStack() as inner:
            if prefill_chunk is not None:
                inner.enter_context(chunked_prefill(target.model, prefill_chunk))
            target.forward(cache, **workload.inputs)
        prefill = dict(work)
        short = patch.cache(target.model)
        target.forward(short, **workload.inputs)
        decoding = max(_difference(target, workload, cache, short, number) for number in range(3))
    worst = max(rows.errors.values(), default=float("nan"))
    where = f"{name} at {workload.tokens} tokens"
    if not worst <= TOLERANCE[target.dtype]:
        raise BenchError(
            f"{where}: hybrid attention differs from the masked reference by {worst:.2g} of the largest output, "
            f"allowed are {TOLERANCE[target.dtype]:.2g}"
        )
    if not decoding <= LOGITS[target.dtype]:
        raise BenchError(
            f"{where}: logits over the evicting cache differ by {decoding:.2g} from those over a plain cache, "
            f"allowed are {LOGITS[target.dtype]:.2g}"
        )
    _check_work(target, workload, where, patch, prefill)
    _check_bytes(target, workload, where, patch, short.bytes())
    return {"row_error": worst, "decode_error": decoding, "work": prefill, "kv_bytes": short.bytes()}


def _difference(target: Target, workload: Workload, cache: Any, short: Any, number: int) -> float:
    positions = workload.inputs["position_ids"][..., -1:]
    token = torch.full((positions.shape[-2], 1), 5 + number, device=target.device)
    step = {"input_ids": token, "position_ids": torch.full_like(positions, workload.after + number)}
    plain, evicting = (target.forward(kept, **step).float() for kept in (cache, short))
    return float((plain - evicting).square().mean().sqrt() / plain.square().mean().sqrt())


def _check_work(target: Target, workload: Workload, where: str, patch: Hybrid, work: Mapping[str, int]) -> None:
    """The pairs given to kernels must be those of the selected heads and a band for the others."""
    layers, heads, _ = target.shape
    batch = workload.inputs["input_ids"].shape[0]
    pairs = batch * causal_pairs(workload.tokens, workload.tokens)
    band = batch * workload.tokens * min(workload.tokens, patch.sink + patch.window + SPARE)
    most = len(patch.heads) * pairs + layers * heads * band
    if sum(work.values()) > most:
        raise BenchError(
            f"{where}: attention was given {sum(work.values()):.3g} pairs of queries and keys, "
            f"expected at most {most:.3g}: the work of the sparse heads does not shrink"
        )


def _check_bytes(target: Target, workload: Workload, where: str, patch: Hybrid, kept: int) -> None:
    layers, _, kv_heads = target.shape
    width = target.model.model.language_model.layers[0].self_attn.head_dim
    batch = workload.inputs["input_ids"].shape[0]
    dense = 2 * layers * kv_heads * batch * (workload.tokens + 3) * width * target.dtype.itemsize
    most = patch.kv_ratio(target.model, workload.tokens + 3) * dense
    if kept > most * (1 + 1e-9):
        raise BenchError(f"{where}: the KV cache keeps {kept} bytes, expected at most {most:.0f}")
