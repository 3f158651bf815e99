"""Retrieval Attention Mass: how much of a head's attention goes from the question's words to what they ask about.

RAM(l, h) = mean over query tokens q in Q of the sum over target tokens v in G of the attention A[l, h, q, v]."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreheads.errors import UserError
from coreheads.heads.schema import NORMALIZATIONS, Normalization
from coreheads.regions import Region

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def retrieval_attention_mass(
    adapter: Adapter,
    prompt: Prompt,
    regions: Sequence[Region] | None = None,
    normalization: Normalization | None = None,
    *,
    target_tokens: Tensor | None = None,
) -> Tensor:
    """RAM of every head of the language model for one prompt, from one forward call.

    Only the rows of the query tokens are computed, in float32, beside scaled-dot-product attention: no eager
    attention and no tokens x tokens matrix. Patches that are active on the model stay in force.

    Args:
        adapter: from ``load_adapter``.
        prompt: from ``adapter.prepare(messages, query=...)``.
        regions: the ground truth, which ``prompt.locate`` turns into target tokens.
        normalization: None is the mass itself, 0 to 1; "vision" divides it by the mass on all vision tokens (0 where
            that is 0); "lift" divides it by |G| / |V|, what a uniform reader of the vision tokens gets.
        target_tokens: [|G|], positions in the prompt, in place of regions.

    Returns:
        Float32 [layers, heads].

    Raises:
        UserError: there are no query tokens or no target tokens.
    """
    if (regions is None) == (target_tokens is None):
        raise UserError("RAM: regions or target_tokens are needed, expected exactly one of the two")
    target = _target(prompt, regions, normalization, target_tokens)
    return _rams(adapter.model, prompt.inputs, [prompt], [target], normalization)[0]


def ram(
    adapter: Adapter,
    prompt: Prompt,
    regions: Sequence[Region],
    *,
    answer: str | None = None,
    normalization: Normalization | None = None,
) -> Tensor:
    """``retrieval_attention_mass`` as the registry of head scores calls it; the answer is not used."""
    return retrieval_attention_mass(adapter, prompt, regions, normalization)


def retrieval_attention_masses(
    adapter: Adapter,
    prompts: Sequence[Prompt],
    regions: Sequence[Sequence[Region]],
    normalization: Normalization | None = None,
) -> Tensor:
    """RAM of every head for several prompts, from one forward call of a left-padded batch.

    Args:
        adapter: from ``load_adapter``.
        prompts: from ``adapter.prepare(messages, query=...)``, at least one.
        regions: for each prompt its own ground truth.
        normalization: as for ``retrieval_attention_mass``.

    Returns:
        Float32 [prompts, layers, heads], each prompt's RAM as ``retrieval_attention_mass`` gives it.

    Raises:
        UserError: there are no prompts, not as many regions, or a prompt without query tokens or target tokens.
    """
    if not prompts or len(prompts) != len(regions):
        raise UserError(f"RAM: {len(prompts)} prompts and regions of {len(regions)}, expected as many, not 0")
    targets = [_target(prompt, own, normalization) for prompt, own in zip(prompts, regions, strict=True)]
    return torch.stack(_rams(adapter.model, adapter.collate(prompts), prompts, targets, normalization))


def attention_mass(model: Any, inputs: dict[str, Any], rows: Tensor, columns: Sequence[Tensor]) -> Tensor:
    """Attention of the tokens ``rows`` on each token set of ``columns``, mean over rows, in one forward call.

    inputs: what ``model.forward`` takes, a batch of one. Float32 [len(columns), layers, heads].
    UserError when a position lies outside the prompt.
    """
    return _measure(model, inputs, [rows], [columns])[0]


def _measure(
    model: Any, inputs: dict[str, Any], rows: Sequence[Tensor], columns: Sequence[Sequence[Tensor]]
) -> list[Tensor]:
    """``attention_mass`` of each sample of a batch, whose padding does not count."""
    from coreheads.adapters.generation.devices import input_device
    from coreheads.adapters.patches.mass import collect_mass

    mask, length = inputs.get("attention_mask"), inputs["input_ids"].shape[1]
    lengths = [length] * len(rows) if mask is None else mask.sum(-1).tolist()
    for own, sets, length in zip(rows, columns, lengths, strict=True):
        for name, tokens in [("query", own), *(("target", tokens) for tokens in sets)]:
            if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < length:
                raise UserError(f"RAM: a {name} token lies outside the prompt, expected positions 0 to {length - 1}")
    ready = {
        name: value.to(input_device(model)) if isinstance(value, Tensor) else value for name, value in inputs.items()
    }
    with torch.inference_mode(), ExitStack() as stack:
        collected = [
            stack.enter_context(collect_mass(model, own, sets, sample))
            for sample, (own, sets) in enumerate(zip(rows, columns, strict=True))
        ]
        model(**ready, use_cache=False, logits_to_keep=1)
    return [mass.result() for mass in collected]


def _target(
    prompt: Prompt, regions: Sequence[Region] | None, normalization: Normalization | None, tokens: Tensor | None = None
) -> Tensor:
    """The target tokens: those of the regions, else the given ones. UserError where RAM cannot be measured."""
    if normalization not in NORMALIZATIONS:
        raise UserError(f"RAM: normalization is {normalization!r}, expected None, 'vision' or 'lift'")
    if not len(prompt.query_tokens):
        raise UserError("RAM: the prompt has no query tokens, expected prepare(messages, query=...) with words of it")
    target = torch.unique(torch.as_tensor(tokens, dtype=torch.long)) if regions is None else prompt.locate(regions)
    if not len(target):
        if regions is None:
            raise UserError("RAM: target_tokens is empty, expected at least one position in the prompt")
        reason = prompt.explain(regions)
        raise UserError(f"RAM: the regions touch no vision token of the prompt ({reason}), expected at least one")
    return target


def _rams(
    model: Any,
    inputs: dict[str, Any],
    prompts: Sequence[Prompt],
    targets: Sequence[Tensor],
    normalization: Normalization | None,
) -> list[Tensor]:
    """RAM [layers, heads] of each prompt of a batch."""
    rows = [prompt.query_tokens for prompt in prompts]
    pairs = list(zip(prompts, targets, strict=True))
    columns = [[target, prompt.vision_tokens] if normalization == "vision" else [target] for prompt, target in pairs]
    rams = []
    for mass, (prompt, target) in zip(_measure(model, inputs, rows, columns), pairs, strict=True):
        if normalization == "vision":
            smallest = torch.finfo(torch.float32).tiny
            rams.append(torch.where(mass[1] > 0, mass[0] / mass[1].clamp_min(smallest), 0.0))
        else:
            rams.append(mass[0] * (len(prompt.vision_tokens) / len(target) if normalization == "lift" else 1))
    return rams
