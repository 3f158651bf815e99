"""What makes ``coreheads bench`` fail, at the very length that is timed: sampled rows of every layer that differ from a
dense masked softmax in at least float32; kernels that were given too many pairs of queries and keys; decoding over the
evicting cache that differs from decoding over a plain one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor

from coreheads.adapters.kernels.autotune import relative_errors
from coreheads.adapters.kernels.work_count import causal_pairs, counted
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.target import Target, Workload
from coreheads.doctor.memory import cache_bytes

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


class Checked(TypedDict):
    """What was compared and counted at one context length."""

    row_error: float
    """Of sampled rows of attention's output, the largest relative error, see TOLERANCE."""
    decode_error: float
    """Of the logits over the evicting cache, see LOGITS."""
    work: dict[str, int]
    """Pairs of queries and keys that kernels were given in prefill, by kind of kernel."""
    kv_bytes: int
    """Kept in the evicting cache."""


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
        self._expected: dict[int, Tensor] = {}
        self._first = 0

    def observe(self, step: Step) -> None:
        """Keep the expected rows; chunked prefill sees them chunk by chunk."""
        if step.sample:
            return
        total, count = step.key.shape[2], step.query.shape[2]
        self._first = total - count
        self._expected[step.layer] = masked_softmax(self.hybrid, step, self._within(count).to(step.query.device))

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Compare; the output stays as it is."""
        own = (self._within(output.shape[1]) - self._first).to(output.device)
        expected = self._expected.pop(layer)
        if len(own):
            got = output[0, own].to(expected.dtype)
            single = (got - expected).abs().amax() / expected.abs().amax()
            error = float(torch.maximum(relative_errors(got, expected).mean(0).amax(), single))
            if not error <= self.errors.get(layer, 0.0):  # also when it is no number
                self.errors[layer] = error
        return output

    def _within(self, count: int) -> Tensor:
        """Those of the rows that are among the ``count`` now computed."""
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
def check(target: Target, workload: Workload, name: str, patch: Hybrid, prefill_chunk: int | None) -> Checked:
    """Run the prompt as it will be timed, over the evicting cache and over a plain one, one after the other.

    Raises:
        BenchError: Outputs are wrong, or work is not saved.
    """
    patch = patch.on(target.model)
    rows = RowCheck(patch, workload.tokens)
    with target.remembering(), patch(target.model):
        evicting = patch.cache(target.model)
        short = [target.prefill(evicting, workload, prefill_chunk), *_decode(target, workload, evicting)]
        kept = evicting.bytes()
        del evicting
        plain = target.cache(workload.tokens + STEPS + 1)
        with counted() as work, rows(target.model):
            whole = [target.prefill(plain, workload, prefill_chunk)]
        whole += _decode(target, workload, plain)
    worst = _largest(rows.errors.values())
    difference = _largest(map(_relative_difference, short, whole))
    where, dtype = f"{name} at {workload.tokens} tokens", target.model.dtype
    if not worst <= TOLERANCE[dtype]:
        raise BenchError(
            f"{where}: hybrid attention differs from the masked reference by {worst:.2g} of a row's output, "
            f"allowed are {TOLERANCE[dtype]:.2g}"
        )
    if not difference <= LOGITS[dtype]:
        raise BenchError(
            f"{where}: logits over the evicting cache differ by {difference:.2g} from those over a plain cache, "
            f"allowed are {LOGITS[dtype]:.2g}"
        )
    most = _most_pairs(target, workload, patch)
    if sum(work.values()) > most:
        raise BenchError(
            f"{where}: attention was given {sum(work.values()):.3g} pairs of queries and keys, "
            f"expected at most {most:.3g}: the work of the sparse heads does not shrink"
        )
    tokens = workload.tokens + STEPS
    most = patch.kv_ratio(target.model, tokens) * cache_bytes(target.model.config, dtype, tokens) * workload.batch
    if kept > most * (1 + 1e-9):
        raise BenchError(f"{where}: the KV cache keeps {kept} bytes, expected at most {most:.0f}")
    return {"row_error": worst, "decode_error": difference, "work": work, "kv_bytes": kept}


def _decode(target: Target, workload: Workload, cache: Any) -> list[Tensor]:
    """Logits after each of STEPS tokens."""
    return [target.forward(cache, **workload.next_token(number, 5 + number)) for number in range(STEPS)]


def _relative_difference(one: Tensor, other: Tensor) -> float:
    one, other = one.float(), other.float()
    return float((one - other).square().mean().sqrt() / other.square().mean().sqrt())


def _largest(errors: Iterable[float]) -> float:
    """NaN where one of them is, or none is there: Python's own maximum may pass over it."""
    every = torch.tensor(list(errors), dtype=torch.float64)
    return float(every.amax()) if len(every) else float("nan")


def _most_pairs(target: Target, workload: Workload, patch: Hybrid) -> float:
    """What kernels may be given: the pairs of the selected heads, and a band for the others."""
    layers, heads, _ = target.shape
    pairs = causal_pairs(workload.tokens, workload.tokens)
    reach = -(-patch.sink // BLOCK) * BLOCK + patch.window + 2 * BLOCK
    band = (FILLED * workload.tokens + BLOCK) * min(workload.tokens + BLOCK, reach)
    return workload.batch * (len(patch.heads) * pairs + layers * heads * band)
