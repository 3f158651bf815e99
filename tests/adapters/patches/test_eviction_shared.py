"""Prompts that share their beginning, of which keys are evicted for each of them: as if each was read alone."""

from __future__ import annotations

import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from family_cases import FAMILIES, adapter

from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.registry import make_patch

TEXTS = ("where ?", "what is this ?", "where is it ? " * 8, "who is that ?")


@pytest.mark.parametrize("budget", [1, 10**6], ids=["one at a time", "batched"])
@pytest.mark.parametrize("name", ["snapkv", "adakv"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_each_is_as_if_read_alone(model_type: str, name: str, budget: int) -> None:
    """Windows of observers that lie in the question alone, and that reach into the beginning."""
    made = adapter(model_type, dtype=torch.float64)
    shown = picture(61, 60)
    prompts = [made.prepare(user(image_part(shown), text_part(text))) for text in TEXTS]
    calls: list[bool] = []
    hook = made.model.register_forward_pre_hook(lambda *call: calls.append("pixel_values" in call[2]), with_kwargs=True)
    for window in (1, 3, 40):
        with make_patch(name, keep=0.3, window=window)(made.model):
            alone = [made.generate([prompt], 4, count=True)[0] for prompt in prompts]
            calls.clear()
            shared = made.generate(prompts, 4, count=True, share_prefix=True, batch_tokens=budget)
        assert sum(calls) == 1, "the picture is read once"
        assert [answer.token_ids for answer in shared] == [answer.token_ids for answer in alone]
        for one, other in zip(alone, shared, strict=True):
            assert other.margin == pytest.approx(one.margin, rel=1e-9, abs=1e-9)
            assert other.work is not None
            assert one.work is not None
            assert (other.work.tokens, other.work.kv_bytes) == (one.work.tokens, one.work.kv_bytes)
            assert other.work.choice_flops == one.work.choice_flops
            assert other.work.pairs == pytest.approx(one.work.pairs)
    hook.remove()


def test_in_pieces_and_under_another_patch() -> None:
    made = adapter("qwen3_vl", dtype=torch.float64)
    prompts = [made.prepare(user(image_part(picture(61, 60)), text_part(text))) for text in TEXTS]
    with Ablate({(0, 1)}, mode="vision")(made.model), make_patch("snapkv", keep=0.3, window=9)(made.model):
        alone = [made.generate([prompt], 4)[0].token_ids for prompt in prompts]
        with chunked_prefill(made.model, 7):
            shared = made.generate(prompts, 4, share_prefix=True)
    assert [answer.token_ids for answer in shared] == alone
