"""Attention in which a page's tokens skip the other pages: one call of full attention a page, on the keys it sees.

Shapes: query [B, H, Q, D], key and value [B, Hkv, K, D], the Q queries are the last of the K tokens -> [B, Q, H, D].
"""

from __future__ import annotations

import torch
from torch import Tensor

from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.visibility import pages
from coreheads.adapters.kernels.work_count import causal_pairs, note


def paged_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, vision: Tensor) -> Tensor:
    """Attention under ``OwnPage(sink)``; ``vision``: bool, where the vision tokens are among at least the K tokens.

    Before a page's first token only text and sinks are seen, so that a page attends like the end of a shorter prompt.
    """
    total = key.shape[2]
    before = total - query.shape[2]
    page = pages(vision[:total])
    seen_by_all = (page == 0) | (torch.arange(total, device=page.device) < sink)
    numbers, lengths = torch.unique_consecutive(page, return_counts=True)
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    stop = 0
    for number, length in zip(numbers.tolist(), lengths.tolist(), strict=True):
        first, stop = stop, stop + length
        start = max(first, before)
        if start >= stop:
            continue
        rows = query[:, :, start - before : stop - before]
        keys, values = key[:, :, :stop], value[:, :, :stop]
        if number and first:
            columns = torch.cat([seen_by_all[:first].nonzero()[:, 0], torch.arange(first, stop, device=page.device)])
            keys, values = keys[:, :, columns], values[:, :, columns]
        note("full", query.shape[0] * query.shape[1] * causal_pairs(stop - start, keys.shape[2]))
        output[:, start - before : stop - before] = full_attention(rows, keys, values, scaling)
    return output
