"""Sink + window attention, by whichever implementation is fastest on the device.

Shapes: query [B, H, Q, D], key and value [B, Hkv, K, D], the Q queries are the last of the K tokens -> [B, Q, H, D].
Blocks of queries against gathered slabs of keys work everywhere and are what a CPU does (``local``). On a GPU there
are besides: a windowed FlashAttention pass merged with a pass over the sinks, without any copy of keys (the rows'
log-sum-exps weigh the two, which is exact: Milakov and Gimelshein 2018, section 3), and FlexAttention (``flex``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
from torch import Tensor

from coreheads.adapters.kernels import autotune, flash, flex
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.work_count import causal_pairs, note

MERGED_ROWS = 16384
"""Rows merged at a time where the merge is not compiled: it holds them in float32."""


def windowed(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, window: int, output: Tensor | None = None
) -> Tensor:
    """Sink + window attention [B, Q, H, D], written to ``output`` where it is given.

    The query at position i sees the keys j <= i with ``j < sink`` and those with ``i - j < window``, itself too.
    """
    if query.device.type == "cpu" or query.shape[2] == 1:
        return local_attention(query, key, value, scaling, sink, window, output)
    computed = autotune.run("window", window_kernels(query.device.type), query, key, value, scaling, sink, window)
    return computed if output is None else output.copy_(computed)


def window_kernels(device: str) -> Mapping[str, autotune.Kernel]:
    """The candidates, the reference first."""
    if device not in autotune.GPUS:
        return {"blocks": local_attention}
    by_flash = {name: partial(merged, kernel) for name, kernel in flash.kernels().items()}
    return {"blocks": local_attention, **by_flash, "flex": flex.windowed}


def merged(
    kernel: flash.Kernel, query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, window: int
) -> Tensor:
    """A windowed pass and a pass over the sinks by one kernel, weighed by their log-sum-exps; as ``windowed``.

    Queries before position sink + window see all keys before them, which is one causal pass. The two parts are rounded
    to the tensors' type before they are merged: in bfloat16 the error is up to a fifth larger than that of one pass.
    """
    rows = query.shape[2]
    before = key.shape[2] - rows
    plain = min(rows, max(0, sink + window - before))
    parts = []
    if plain:
        reach = before + plain
        note("window", query.shape[0] * query.shape[1] * causal_pairs(plain, reach))
        parts.append(kernel(query[:, :, :plain], key[:, :, :reach], value[:, :, :reach], scaling, (-1, 0))[0])
    if plain < rows:
        far_query, lowest = query[:, :, plain:], before + plain - window + 1
        note("window", query.shape[0] * query.shape[1] * (rows - plain) * (sink + window))
        near, near_sum = kernel(far_query, key[:, :, lowest:], value[:, :, lowest:], scaling, (window - 1, 0))
        if sink:
            far, far_sum = kernel(far_query, key[:, :, :sink], value[:, :, :sink], scaling, (-1, -1))
            near = merge(near, near_sum, far, far_sum)
        parts.append(near)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def merge(near: Tensor, near_sum: Tensor, far: Tensor, far_sum: Tensor) -> Tensor:
    """Attention over two sets of keys [B, Q, H, D] with log-sum-exps [B, Q, H] -> over both, in ``near``'s dtype."""
    if near.device.type == "cuda":
        return _fastest_merge(near.device)(near, near_sum, far, far_sum)
    return _by_rows(near, near_sum, far, far_sum)


def _by_rows(near: Tensor, near_sum: Tensor, far: Tensor, far_sum: Tensor) -> Tensor:
    """Some rows at a time, written over ``near``."""
    for start in range(0, near.shape[1], MERGED_ROWS):
        part = slice(start, start + MERGED_ROWS)
        near[:, part] = _merge(near[:, part], near_sum[:, part], far[:, part], far_sum[:, part])
    return near


def _merge(near: Tensor, near_sum: Tensor, far: Tensor, far_sum: Tensor) -> Tensor:
    weight = torch.sigmoid(near_sum - far_sum)[..., None]
    exact = torch.promote_types(near.dtype, torch.float32)
    return torch.lerp(far.to(exact), near.to(exact), weight.to(exact)).to(near.dtype)


@cache
def _fastest_merge(device: torch.device) -> Callable[..., Tensor]:
    """Compiled, which is one pass over memory instead of five, where torch can compile for the device."""
    compiled: Callable[..., Tensor] = torch.compile(_merge, dynamic=True)
    part, weight = torch.zeros(1, 4, 2, 8, device=device), torch.zeros(1, 4, 2, device=device)
    try:
        compiled(part, weight, part, weight)
    except Exception as error:  # no C compiler, no Triton, a device too old: all of torch's own
        warnings.warn(f"torch.compile does not work on {device} ({type(error).__name__})", stacklevel=2)
        return _by_rows
    return compiled
