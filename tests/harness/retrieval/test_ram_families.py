"""RAM of every family against eager attention's own matrices: alone, in padded batches, on pictures and videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user, video, video_part
from family_cases import FAMILIES, MOE, adapter
from torch import Tensor

from coreheads import Region, UserError, retrieval_attention_mass
from coreheads.retrieval.ram import retrieval_attention_masses

ASKED = text_part("where is the red-star ?")
CASES: dict[str, tuple[list[dict[str, Any]], list[Region]]] = {
    "picture": (user(image_part(picture(300, 200)), ASKED), [Region(0, (0.2, 0.3, 0.6, 0.5))]),
    "pictures": (
        user(image_part(picture(200, 90)), text_part("page 1"), image_part(picture(90, 61, 1)), ASKED),
        [Region(1, (0.0, 0.0, 0.4, 1.0)), Region(0, (0.9, 0.9, 1.0, 1.0))],
    ),
    "video": (user(video_part(video(9, 64, 48, fps=3.0)), ASKED), [Region(0, (0.5, 0.0, 1.0, 1.0), 0.5, 1.8)]),
    "mixed": (mixed(), [Region(1, None, 0.0, 1.1), Region(2, (0.1, 0.1, 0.3, 0.3))]),
}


@contextmanager
def eager(model: Any) -> Iterator[None]:
    config = model.model.language_model.config
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        yield
    finally:
        config._attn_implementation = before


def expected(attentions: list[Tensor], row: int, pad: int, query: Tensor, target: Tensor) -> Tensor:
    """[layers, heads] from eager's matrices [batch, heads, L, L] of each layer."""
    matrices = torch.stack(attentions)[:, row]
    return matrices[:, :, query + pad][..., target + pad].sum(-1).mean(-1)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_alone(model_type: str, name: str) -> None:
    made = adapter(model_type)
    messages, regions = CASES[name]
    prompt = made.prepare(messages, query="red-star")
    with eager(made.model), torch.inference_mode():
        attentions = made.model(**prompt.inputs, output_attentions=True).attentions
    wanted = expected(attentions, 0, 0, prompt.query_tokens, prompt.locate(regions))
    found = retrieval_attention_mass(made, prompt, regions)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    # heads differ: a constant would not pass for the right answer
    assert float(wanted.std()) > 1e-3
    lift = retrieval_attention_mass(made, prompt, regions, normalization="lift")
    share = len(prompt.locate(regions)) / len(prompt.vision_tokens)
    torch.testing.assert_close(lift * share, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("names", [("picture", "video"), ("mixed", "pictures", "picture"), ("video", "video")])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_in_batches(model_type: str, names: tuple[str, ...]) -> None:
    made = adapter(model_type)
    prompts = [made.prepare(CASES[name][0], query="red-star") for name in names]
    regions = [CASES[name][1] for name in names]
    batch = made.collate(prompts)
    assert ("attention_mask" in batch) == (len({prompt.tokens for prompt in prompts}) > 1)
    with eager(made.model), torch.inference_mode():
        attentions = made.model(**batch, output_attentions=True).attentions
    found = retrieval_attention_masses(made, prompts, regions)
    longest = max(prompt.tokens for prompt in prompts)
    for row, (prompt, places) in enumerate(zip(prompts, regions, strict=True)):
        pad = longest - prompt.tokens
        wanted = expected(attentions, row, pad, prompt.query_tokens, prompt.locate(places))
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=0)
        alone = retrieval_attention_mass(made, prompt, places, normalization="vision")
        together = retrieval_attention_masses(made, prompts, regions, normalization="vision")[row]
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def test_batches_that_do_not_fit_together() -> None:
    made = adapter("internvl")
    prompt = made.prepare(CASES["picture"][0], query="red-star")
    for prompts, regions in (([prompt], []), ([], []), ([prompt], [[], []])):
        with pytest.raises(UserError, match="expected as many, not 0"):
            retrieval_attention_masses(made, prompts, regions)
    with pytest.raises(UserError, match="touch no vision token of the prompt"):
        retrieval_attention_masses(made, [prompt], [[Region(0, (0.1, 0.1, 0.1, 0.2))]])
