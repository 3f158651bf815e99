"""A benchmark of something wrong is worth nothing: the checks that make ``coreheads bench`` fail.

At the very length that is timed, on the model's own queries and keys, a sample of rows of every layer is computed with
a dense masked softmax in at least float32 and compared with what the kernels gave; the pairs of queries and keys that
the kernels were given are counted; decoding over the evicting cache is compared with decoding over a plain one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.kernels.autotune import relative_errors
from coreheads.adapters.kernels.work import causal_pairs, counted
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.target import Target, Workload

ROWS = 24
"""Rows of every layer that are compared, beside those at the pattern's edges."""
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float64: 1e-9}
"""Of a layer's sampled rows, the largest difference over their largest magnitude; and of a head's, the mean of each
row's error over its own length, because later rows average over many keys and are small beside the first ones. bfloat16
rounds to 2^-9 of a value, in the weights, in the output, and where two parts are merged: 0.004 together."""
STEPS = 3
"""Tokens decoded."""
LOGITS = {torch.float32: 1e-3, torch.bfloat16: 1e-1, torch.float16: 3e-2, torch.float64: 1e-8}
"""Root mean square of the difference of logits, over their own: rounding that went through all layers."""
BLOCK = 128
"""Kernels work in blocks: a query may be given so many keys more at each end of the sinks and of the window."""
FILLED = 17 / 16
"""Rows that a kernel may fill up to, over the prompt's."""


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
            single = (got - expected).abs().amax() / expected.abs().amax()
            error = float(torch.maximum(relative_errors(got, expected).mean(0).amax(), single))
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
    """Run the prompt as it will be timed, over the evicting cache and over a plain one, one after the other, and raise
    BenchError for wrong outputs or work that was not saved; gives what was found."""
    patch = patch.on(target.model)
    rows = RowCheck(patch, workload.tokens)
    with target.remembering(), patch(target.model):
        short = patch.cache(target.model)
        evicting = _logits(target, workload, short, prefill_chunk)
        kept = short.bytes()
        del short
        work: dict[str, int] = {}
        cache = PreallocatedCache(target.shape[0], workload.tokens + STEPS + 1)
        plain = _logits(target, workload, cache, prefill_chunk, rows, work)
    worst = _largest(rows.errors.values())
    difference = _largest(
        float((one - other).square().mean().sqrt() / other.square().mean().sqrt())
        for one, other in zip(evicting, plain, strict=True)
    )
    where = f"{name} at {workload.tokens} tokens"
    if not worst <= TOLERANCE[target.dtype]:
        raise BenchError(
            f"{where}: hybrid attention differs from the masked reference by {worst:.2g} of a row's output, "
            f"allowed are {TOLERANCE[target.dtype]:.2g}"
        )
    if not difference <= LOGITS[target.dtype]:
        raise BenchError(
            f"{where}: logits over the evicting cache differ by {difference:.2g} from those over a plain cache, "
            f"allowed are {LOGITS[target.dtype]:.2g}"
        )
    _check_work(target, workload, where, patch, work)
    _check_bytes(target, workload, where, patch, kept)
    return {"row_error": worst, "decode_error": difference, "work": work, "kv_bytes": kept}


def _largest(errors: Iterable[float]) -> float:
    """NaN where one of them is, or none is there: Python's own maximum may pass over it."""
    found = torch.tensor(list(errors), dtype=torch.float64)
    return float(found.amax()) if len(found) else float("nan")


def _logits(
    target: Target,
    workload: Workload,
    cache: Any,
    prefill_chunk: int | None,
    rows: RowCheck | None = None,
    work: dict[str, int] | None = None,
) -> list[Tensor]:
    """Float32 logits after the prompt and after each of STEPS tokens; the prefill's work is added to ``work``."""
    with ExitStack() as stack:
        counts = stack.enter_context(counted())
        if rows is not None:
            stack.enter_context(rows(target.model))
        if prefill_chunk is not None:
            stack.enter_context(chunked_prefill(target.model, prefill_chunk))
        found = [target.forward(cache, **workload.inputs).float()]
    if work is not None:
        work.update(counts)
    positions = workload.inputs["position_ids"][..., -1:]
    for number in range(STEPS):
        token = torch.full((positions.shape[-2], 1), 5 + number, device=target.device)
        place = torch.full_like(positions, workload.after + number)
        found.append(target.forward(cache, input_ids=token, position_ids=place).float())
    return found


def _check_work(target: Target, workload: Workload, where: str, patch: Hybrid, work: Mapping[str, int]) -> None:
    """The pairs given to kernels must be those of the selected heads and a band for the others."""
    layers, heads, _ = target.shape
    batch = workload.inputs["input_ids"].shape[0]
    pairs = batch * causal_pairs(workload.tokens, workload.tokens)
    reach = -(-patch.sink // BLOCK) * BLOCK + patch.window + 2 * BLOCK
    band = batch * (FILLED * workload.tokens + BLOCK) * min(workload.tokens + BLOCK, reach)
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
    dense = 2 * layers * kv_heads * batch * (workload.tokens + STEPS) * width * target.dtype.itemsize
    most = patch.kv_ratio(target.model, workload.tokens + STEPS) * dense
    if kept > most * (1 + 1e-9):
        raise BenchError(f"{where}: the KV cache keeps {kept} bytes, expected at most {most:.0f}")
