"""FlashAttention with a window and the log-sum-exp of every row, from torch itself and from the packages flash-attn.

Causal masks are aligned to the last key. All are optional: what this torch or this machine lacks is not offered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor, Tensor, float, tuple[int, int]], tuple[Tensor, Tensor]]
"""(query [B, H, Q, D], key, value [B, Hkv, K, D], scaling, (left, right)) -> ([B, Q, H, D], log-sum-exp [B, Q, H]).

The query at key position p sees keys p - left to p + right; -1 is without limit."""


PACKAGES = {"flash-attn": "flash_attn", "flash-attn-3": "flash_attn_interface"}
"""Modules that have ``flash_attn_func``: FlashAttention 2, and FlashAttention 3 for Hopper."""


@cache
def kernels() -> dict[str, Kernel]:
    """The implementations to be had, by name."""
    by_package = {name: partial(packaged, module) for name, module in PACKAGES.items() if find_spec(module) is not None}
    by_torch: dict[str, Kernel] = {"varlen": varlen} if "window_size" in _varlen_parameters() else {}
    return {**by_torch, **by_package}


@cache
def _varlen_parameters() -> tuple[str, ...]:
    """Of ``torch.nn.attention.varlen.varlen_attn``, which has grown from one torch to the next."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return ()
    return tuple(signature(varlen_attn).parameters)


def varlen(query: Tensor, key: Tensor, value: Tensor, scaling: float, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """By ``torch.nn.attention.varlen``, a sample at a time."""
    from torch.nn.attention.varlen import AuxRequest, varlen_attn

    known = _varlen_parameters()
    options: dict[str, Any] = {"window_size": window, "return_aux": AuxRequest(lse=True), "scale": scaling}
    if "enable_gqa" in known:  # before it was a parameter, fewer KV heads were taken as they are
        options["enable_gqa"] = query.shape[1] != key.shape[1]
    rows, columns = query.shape[2], key.shape[2]
    ends, key_ends = _ends(rows, query.device), _ends(columns, key.device)
    outputs, sums = [], []
    for sample in zip(query, key, value, strict=True):
        # views, in whatever order the tokens and heads lie in memory
        own, keys, values = (states.transpose(0, 1) for states in sample)
        output, lse = varlen_attn(own, keys, values, ends, key_ends, rows, columns, **options)
        outputs.append(output)
        sums.append(lse.transpose(0, 1))
    if len(outputs) == 1:
        return outputs[0][None], sums[0][None]
    return torch.stack(outputs), torch.stack(sums)


def packaged(
    module: str, query: Tensor, key: Tensor, value: Tensor, scaling: float, window: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """By ``flash_attn_func`` of an installed package."""
    function = import_module(module).flash_attn_func
    # early releases of FlashAttention 3 give the sums unasked
    asked = {"return_attn_probs": True} if "return_attn_probs" in signature(function).parameters else {}
    output, lse, *_ = function(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        softmax_scale=scaling,
        causal=window[1] == 0,
        window_size=window,
        **asked,
    )
    return output, lse.transpose(1, 2)


@lru_cache(maxsize=64)
def _ends(length: int, device: torch.device) -> Tensor:
    """Where the one sequence begins and ends."""
    return torch.tensor([0, length], dtype=torch.int32, device=device)
