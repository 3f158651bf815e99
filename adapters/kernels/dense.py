"""Full causal attention, by whichever kernel is fastest on the device.

Shapes: query [B, H, Q, D], key and value [B, Hkv, K, D], the Q queries are the last of the K tokens -> [B, Q, H, D].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from coreheads.adapters.kernels import autotune, flash

ROWS = 128
"""Query rows that share one explicit mask at a time, where no kernel aligns its causal mask to the last key."""

BACKENDS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
}


def full_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Causal attention; the mask is aligned to the last key, as chunked prefill and decoding need."""
    if query.shape[2] == 1:
        return attend_last(query, key, value, scaling)
    return autotune.run(
        "full", full_kernels(query.device.type, query.shape[2] == key.shape[2]), query, key, value, scaling
    )


def attend_last(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """One query [B, H, 1, D] that sees all keys.

    The query heads of a KV head are rows of one product: keys and values are read once and not repeated.
    """
    batch, heads, _, width = query.shape
    packed = query.reshape(batch, key.shape[1], heads // key.shape[1], width)
    output = scaled_dot_product_attention(packed, key, value, scale=scaling)
    return output.reshape(batch, 1, heads, value.shape[3])


def full_kernels(device: str, square: bool) -> Mapping[str, autotune.Kernel]:
    """The candidates for several queries, the reference first; ``square``: every token is a query."""
    if device not in autotune.GPUS:
        return {"sdpa": _sdpa if square else _by_rows}
    plain = _sdpa if square else _lower_right
    by_backend = {name: partial(plain, backend=backend) for name, backend in BACKENDS.items()}
    by_flash = {name: partial(_flash, kernel) for name, kernel in flash.kernels().items()}
    return {"sdpa": plain, **by_backend, **by_flash}


def _sdpa(query: Tensor, key: Tensor, value: Tensor, scaling: float, backend: SDPBackend | None = None) -> Tensor:
    grouped = key.shape[1] != query.shape[1]
    if grouped and key.shape[1] == 1:
        # one KV head for all: a view serves, where enable_gqa copies on a CPU
        key, value = (states.expand(-1, query.shape[1], -1, -1) for states in (key, value))
        grouped = False
    with nullcontext() if backend is None else sdpa_kernel(backend):
        output = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)
    return output.transpose(1, 2)


def _lower_right(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, backend: SDPBackend | None = None
) -> Tensor:
    """Fewer queries than keys, by the bias of torch that GPU kernels know as an alignment and not as a tensor."""
    from torch.nn.attention.bias import causal_lower_right

    if backend is SDPBackend.CUDNN_ATTENTION:
        raise NotImplementedError("this bias is not known to cuDNN")
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    bias = causal_lower_right(query.shape[2], key.shape[2])
    with nullcontext() if backend is None else sdpa_kernel(backend):
        return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling).transpose(1, 2)


def _flash(kernel: flash.Kernel, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    return kernel(query, key, value, scaling, (-1, 0))[0]


def _by_rows(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Fewer queries than keys on a CPU."""
    return masked(query, key, value, scaling, lambda rows, columns: columns[None, :] <= rows[:, None])


def masked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    visible: Callable[[Tensor, Tensor], Tensor],
    columns: Tensor | None = None,
) -> Tensor:
    """Attention by an explicit mask for ROWS queries at a time; a row that sees nothing is 0.

    The query heads of a KV head are further rows of one product: keys and values need no copies. ``visible`` maps the
    positions of queries [R] and of keys [C] to bool [R, C], where nothing after a query is seen; ``columns`` [K] are
    the keys' positions when they are not 0..K-1, the last key being the last query's own.
    """
    batch, heads, count, width = query.shape
    before, repeats = key.shape[2] - count, heads // key.shape[1]
    at = torch.arange(key.shape[2], device=query.device) if columns is None else columns
    output = query.new_empty(batch, count, heads, value.shape[3])
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        reach = before + stop if columns is None else key.shape[2]
        seen = visible(at[before + start : before + stop], at[:reach])
        packed = query[:, :, start:stop].reshape(batch, key.shape[1], -1, width)
        states = key[:, :, :reach], value[:, :, :reach]
        part = scaled_dot_product_attention(packed, *states, attn_mask=seen.repeat(repeats, 1), scale=scaling)
        # What SDPA gives for a row without any key is left to its kernels: say it here.
        part = torch.where(seen.any(-1)[:, None], part.reshape(batch, heads, stop - start, -1), 0.0)
        output[:, start:stop] = part.transpose(1, 2)
    return output
