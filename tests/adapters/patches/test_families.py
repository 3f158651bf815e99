"""Each patch on each family equals a dense reference with a mask a head, in a padded batch with pictures and videos."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from family_cases import FAMILIES, new_adapter
from patches_oracle import Allowed, hybrid_rule, logits, oracle, vision_rule, zero_rule

from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hybrid import Hybrid

HEADS = {(0, 1), (1, 2), (1, 3), (1, 6)}
CASES: list[tuple[Patch, Allowed]] = [
    (Hybrid(HEADS, sink=3, window=17), hybrid_rule(HEADS, 3, 17)),
    (Ablate(HEADS, "zero"), zero_rule(HEADS)),
    (Ablate(HEADS, "vision"), vision_rule(HEADS, "text")),
    (Ablate(HEADS, "vision", scope="all"), vision_rule(HEADS, "all")),
]


@pytest.mark.parametrize("case", CASES, ids=["hybrid", "zero", "vision", "vision-all"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_patch_is_its_dense_reference(model_type: str, case: tuple[Patch, Allowed]) -> None:
    patch, rule = case
    made = new_adapter(model_type, dtype=torch.float64)
    prompts = [made.prepare(mixed()), made.prepare(user(image_part(picture(61, 60)), text_part("where is it ?")))]
    batch: dict[str, Any] = {
        name: value.double() if name.startswith("pixel_values") else value
        for name, value in made.collate(prompts).items()
    }
    vision = torch.isin(batch["input_ids"], torch.tensor(made.vision_token_ids))
    net = made.model
    dense = logits(net, batch)
    with oracle(net, rule, vision):
        expected = logits(net, batch)
    with patch(net):
        found = logits(net, batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-8, rtol=0)
    assert float((dense[real] - expected[real]).abs().max()) > 1e-3
    torch.testing.assert_close(logits(net, batch)[real], dense[real], atol=0, rtol=0)
