"""A short-sighted head is the hybrid patch's local head, on packed batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from packed_prompts import prompt_inputs

from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.training import forward
from coreheads.adapters.tiny.training.packing import Layout, make_batch


@pytest.mark.parametrize("kind", ["document", "video"])
def test_short_sighted_heads_are_local_heads(kind: str) -> None:
    layout = Layout(kind, 3, 6, 6, 12, ("page",) if kind == "document" else ("moment",), 2, 1)
    model = build_model(1, num_hidden_layers=2)
    forward.use_packed_attention(model)
    batch = make_batch(np.random.default_rng(3), layout)
    torch.manual_seed(0)
    forward.make_near_sighted(model, batch, 0.8, 1)
    near = {
        (layer, head)
        for layer, module in enumerate(attention_modules(model))
        for head in (getattr(module, forward.NEAR) or [torch.empty(0)])[0].tolist()
    }
    assert {(0, 3), (0, 15)} <= near
    assert 16 < len(near) < 32
    with torch.no_grad():
        packed = model.lm_head(forward.decoder_states(model, batch))
    forward.make_near_sighted(model, batch, 0.0, 1)
    assert all(getattr(module, forward.NEAR) is None for module in attention_modules(model))
    language_model(model).config._attn_implementation = "sdpa"
    full = {(layer, head) for layer in range(2) for head in range(16)} - near
    with torch.no_grad(), Hybrid(frozenset(full), sink=forward.SINK, window=forward.WINDOW)(model):
        alone = model(**prompt_inputs(batch, 0, 1, layout)).logits[0]
    asked = batch.asked[0][1]
    count = len(asked.logits_at)
    torch.testing.assert_close(packed[0, list(asked.logits_at)], alone[-count:], atol=2e-5, rtol=1e-4)
