"""A layer in which some heads read everything and all others the sink + window, by what is fastest on the device.

Shapes: query [B, H, Q, D], key and value [B, Hkv, K, D], the Q queries are the last of the K tokens -> [B, Q, H, D].
A CPU computes each KV head's readers apart, and no head twice. On a GPU fewer and larger calls may be faster: all heads
go through the windowed pass, and those that read everything are written over; or KV heads whose readers all read
everything are left out of it; or one call computes all (``flex``).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from coreheads.adapters.kernels import autotune, flex
from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.gqa import by_kv_head, index, put, read_by, runs, take
from coreheads.adapters.kernels.window import windowed
from coreheads.adapters.kernels.work_count import causal_pairs, note


def hybrid(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], sink: int, window: int
) -> Tensor:
    """Full causal attention of the ascending ``heads``, at least one of them, sink + window of all others."""
    if query.shape[2] == 1 and query.device.type != "cpu":
        return passes(query, key, value, scaling, heads, sink, window)
    whole = bool(read_by(heads, query.shape[1] // key.shape[1]))
    kernels = hybrid_kernels(query.device.type, whole)
    return autotune.run("hybrid", kernels, query, key, value, scaling, heads, sink, window)


def hybrid_kernels(device: str, whole: bool) -> Mapping[str, autotune.Kernel]:
    """The candidates, the reference first; ``whole``: there is a KV head that selected heads alone read."""
    if device == "cpu":
        return {"passes": skipping}
    if device not in autotune.GPUS:
        return {"passes": passes}
    return {"passes": passes, **({"skipping": skipping} if whole else {}), "flex": by_one_call}


def passes(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], sink: int, window: int
) -> Tensor:
    """A windowed pass over all heads, and a full one over ``heads``."""
    output = windowed(query, key, value, scaling, sink, window)
    full_heads(query, key, value, scaling, heads, output)
    return output


def skipping(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], sink: int, window: int
) -> Tensor:
    """The same without the windowed pass of KV heads whose readers are all among ``heads``."""
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    full = set(heads)
    near = tuple(head for head in range(query.shape[1]) if head not in full)
    windowed_heads(query, key, value, scaling, near, sink, window, output)
    full_heads(query, key, value, scaling, heads, output)
    return output


def by_one_call(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], sink: int, window: int
) -> Tensor:
    """One call of FlexAttention; two passes where too many shapes were met to compile for one more."""
    computed = flex.hybrid(query, key, value, scaling, heads, sink, window)
    return passes(query, key, value, scaling, heads, sink, window) if computed is None else computed


def windowed_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    heads: tuple[int, ...],
    sink: int,
    window: int,
    output: Tensor,
) -> None:
    """Write the sink + window attention of the KV heads that ``heads`` read to ``output``, for all their readers."""
    repeats = query.shape[1] // key.shape[1]
    for first, last in runs(by_kv_head(heads, repeats)):
        some = slice(first * repeats, last * repeats)
        states = query[:, some], key[:, first:last], value[:, first:last]
        windowed(*states, scaling, sink, window, output[:, :, some])


def full_heads(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], output: Tensor
) -> None:
    """Write the full attention of some heads to ``output``."""
    note("full", query.shape[0] * len(heads) * causal_pairs(query.shape[2], key.shape[2]))
    readers = by_kv_head(heads, query.shape[1] // key.shape[1])
    if query.device.type == "cpu" or query.shape[2] == 1:
        # one KV head after the other: no key is copied
        for kv, members in readers.items():
            states = key[:, kv : kv + 1], value[:, kv : kv + 1]
            put(output, members, full_attention(take(query, members), *states, scaling))
        return
    # a GPU wants all of them at once, and the copies of these few keys are small
    source = index(tuple(kv for kv, members in readers.items() for _ in members), key.device)
    put(output, heads, full_attention(take(query, heads), key[:, source], value[:, source], scaling))
