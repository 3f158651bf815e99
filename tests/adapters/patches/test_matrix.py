"""Every patch on every family, by every check; a new patch is a line of patch_cases, a new family one of family_cases.

The batch has left padding, pictures and a video; all in float64, which the experts of Qwen3-VL-MoE are not written for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from family_cases import adapter
from patch_cases import PATCHES, Case
from patches_oracle import both, hybrid_rule, logits, oracle, state
from transformers import DynamicCache

from coreheads.adapters.generation.structure import attention_modules, cache_argument, language_model
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.streaming import Streaming
from coreheads.adapters.prompt.prompt import TEXT_INPUTS

PROMPTS = [mixed(), user(image_part(picture(61, 60)), text_part("where is it ?"))]
STEPS = (1, 1, 3)
"""Tokens of the calls after the prefill."""
MORE = torch.tensor([[41, 57, 101, 77, 203], [99, 42, 60, 301, 55]])
OUTER = {(0, 1), (0, 2), (1, 2), (1, 5)}

every_case = pytest.mark.parametrize(
    ("model_type", "case"),
    [pytest.param(kind, case, id=f"{kind}-{name}") for name, case in PATCHES.items() for kind in case.families],
)


@cache
def inputs(model_type: str, row: int | None = None) -> dict[str, Any]:
    """Both prompts as a batch, or one of them alone."""
    made = adapter(model_type, dtype=torch.float64)
    prompts = [made.prepare(messages) for messages in PROMPTS]
    batch = made.collate(prompts if row is None else [prompts[row]])
    return {name: value.double() if name.startswith("pixel_values") else value for name, value in batch.items()}


@cache
def dense(model_type: str) -> torch.Tensor:
    return logits(net(model_type), inputs(model_type))


def net(model_type: str) -> Any:
    return adapter(model_type, dtype=torch.float64).model


def real(model_type: str) -> torch.Tensor:
    return inputs(model_type)["attention_mask"].bool()


def vision(model_type: str) -> torch.Tensor:
    ids = torch.tensor(adapter(model_type, dtype=torch.float64).vision_token_ids)
    return torch.isin(inputs(model_type)["input_ids"], ids)


def same(model_type: str, left: torch.Tensor, right: torch.Tensor) -> None:
    """Logits of real tokens agree; what stands at padding is nobody's."""
    torch.testing.assert_close(left[real(model_type)], right[real(model_type)], atol=1e-8, rtol=0)


@every_case
def test_it_is_its_dense_reference(model_type: str, case: Case) -> None:
    model, batch = net(model_type), inputs(model_type)
    with oracle(model, case.rule, vision(model_type), case.uniform):
        expected = logits(model, batch)
    with case.patch(model):
        same(model_type, logits(model, batch), expected)
    chosen = real(model_type)
    assert float((dense(model_type) - expected)[chosen].abs().max()) > 1e-3


@every_case
def test_cached_is_uncached(model_type: str, case: Case) -> None:
    model, batch = net(model_type), inputs(model_type)
    longer, length = dict(batch), batch["input_ids"].shape[1]
    new = {"input_ids": MORE, "attention_mask": torch.ones_like(MORE), "mm_token_type_ids": torch.zeros_like(MORE)}
    for name in [name for name in TEXT_INPUTS if name in batch]:
        longer[name] = torch.cat([batch[name], new[name]], 1)
    places = batch["position_ids"]
    after = places.reshape(-1, *places.shape[-2:]).amax((0, 2))[:, None] + 1 + torch.arange(MORE.shape[1])
    longer["position_ids"] = torch.cat([places, after.expand(*places.shape[:-2], -1, -1)], -1)
    makers: list[Any] = [DynamicCache]
    if isinstance(case.patch, Hybrid | Streaming) and getattr(case.patch, "local", True):
        makers.append(lambda: case.patch.cache(model))
    with case.patch(model):
        expected = logits(model, longer)[:, length:]
        for make in makers:
            past = {cache_argument(model): make(), "use_cache": True}
            logits(model, batch, **past)
            found, start = [], length
            for tokens in STEPS:
                part = {name: longer[name][..., start : start + tokens] for name in ("input_ids", "position_ids")}
                mask = longer["attention_mask"][:, : start + tokens]
                found.append(logits(model, {**part, "attention_mask": mask}, **past))
                start += tokens
            torch.testing.assert_close(torch.cat(found, 1), expected, atol=1e-8, rtol=0)


@every_case
def test_padded_is_single(model_type: str, case: Case) -> None:
    model = net(model_type)
    with case.patch(model):
        together = logits(model, inputs(model_type))
        for row, mask in enumerate(real(model_type)):
            alone = logits(model, inputs(model_type, row))[0]
            torch.testing.assert_close(together[row, mask], alone, atol=1e-8, rtol=0)


@pytest.mark.parametrize("fails", [False, True])
@every_case
def test_leaving_restores_the_model_exactly(model_type: str, case: Case, fails: bool) -> None:
    def stop(*_: Any) -> None:
        raise RuntimeError("stopped on the way")

    model, batch = net(model_type), inputs(model_type)
    expected, before = dense(model_type), state(model)
    if fails:
        handle = language_model(model).layers[1].mlp.register_forward_pre_hook(stop)  # type: ignore[index, union-attr]
        try:
            with pytest.raises(RuntimeError, match="stopped on the way"), case.patch(model):
                logits(model, batch)
        finally:
            handle.remove()
    else:
        with case.patch(model):
            logits(model, batch)
    assert state(model) == before
    assert torch.equal(logits(model, batch), expected)
    assert not any(hasattr(module, "_coreheads") for module in attention_modules(model))


@every_case
def test_it_nests(model_type: str, case: Case) -> None:
    model, batch = net(model_type), inputs(model_type)
    outer, rule = Hybrid(OUTER, 2, 9), hybrid_rule(OUTER, 2, 9)
    with oracle(model, rule):
        only_outer = logits(model, batch)
    with oracle(model, both(rule, case.rule), vision(model_type), case.uniform):
        together = logits(model, batch)
    with outer(model):
        with case.patch(model):
            same(model_type, logits(model, batch), together)
        same(model_type, logits(model, batch), only_outer)
    with case.patch(model), outer(model):
        same(model_type, logits(model, batch), together)
    assert torch.equal(logits(model, batch), dense(model_type))
