"""Prompts with answers for head scores that need them, and the answer's probability by plain generation steps."""

from __future__ import annotations

from typing import Any

import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from family_cases import adapter

from coreheads.adapters.generation.structure import cache_argument, cache_of

ANSWER = "red star 1"
PICTURES = user(image_part(picture(60, 50)), text_part("page 1"), image_part(picture(40, 61, 1)), text_part("answer ?"))


def asked(model_type: str, messages: Any = PICTURES) -> tuple[Any, Any]:
    """A small adapter of the family and a prompt."""
    made = adapter(model_type)
    return made, made.prepare(messages)


def mixed_prompt(model_type: str) -> tuple[Any, Any]:
    return asked(model_type, mixed())


@torch.inference_mode()
def step_by_step(made: Any, prompt: Any, answer: str) -> float:
    """Mean log-probability of the answer's tokens, each read off a forward call that ends before it, with a cache."""
    ids = made.processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    position = made.position_ids(prompt)
    output = made.model(**prompt.inputs, position_ids=position, use_cache=True)
    total, after = 0.0, position.amax() + 1
    for number, token in enumerate(ids):
        total += float(output.logits[0, -1].float().log_softmax(-1)[token])
        output = made.model(
            input_ids=torch.tensor([[token]]),
            position_ids=(after + number).expand(*position.shape[:-1], 1),
            use_cache=True,
            **{cache_argument(made.model): cache_of(output)},
        )
    return total / len(ids)
