"""QRHead's score: the attention that a query pays to the target beyond what a query without content would pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.retrieval.row_scores import target_of

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt

NEUTRAL = "N/A"
"""What stands in place of the query in the second forward call."""

DEVIATIONS = 2.0
"""A token so many standard deviations below the mean of its document is dropped."""


def qrhead(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """QRHead's retrieval score of every head for one prompt, from two forward calls.

    For every vision token: the attention that it gets from the rows behind the last medium (mean over them: question,
    instructions and the template's end), minus the same with "N/A" in place of the query's tokens. Tokens more than
    two standard deviations below the mean of their document are dropped; what is left in G is summed. The answer is
    not used.

    Source: arXiv 2506.09944. A document here is a medium: a page, an image, a frame that is shown as an image, or a
    video. The reference sums over all of a gold document's tokens; here a region says more exactly what is gold, and
    where it is a whole page that is the same. Text tokens of a document (its heading) do not count. Standard
    deviations are those of all of a document's tokens.

    Returns:
        Float32 [layers, heads], -1 to 1.

    Raises:
        UserError: the regions touch no vision token, there are no query tokens, or nothing is said behind the media.
    """
    target, vision, media = target_of(prompt, regions), prompt.vision_tokens, prompt.geometry.media
    if not len(prompt.query_tokens):
        raise UserError("score qrhead: the prompt has no query tokens, expected words that name what is looked for")
    if int(vision[-1]) + 1 == prompt.tokens:
        raise UserError("score qrhead: the prompt ends with its media, expected text behind them")
    gold = torch.isin(vision, target)
    shown = torch.isin(media, media[gold])  # the other documents' tokens are never asked for
    columns, documents, gold = vision[shown], media[shown], gold[shown]
    first, last = int(prompt.query_tokens[0]), int(prompt.query_tokens[-1])
    neutral = _neutral(adapter, prompt, first, last)
    longer = neutral["input_ids"].shape[1] - prompt.tokens
    moved = columns + longer * (columns > last)
    attention = _attention(adapter.model, dict(prompt.inputs), int(vision[-1]), columns)
    attention -= _attention(adapter.model, neutral, int(vision[-1]) + longer * (int(vision[-1]) > last), moved)
    for document in torch.unique(documents):
        own = attention[:, documents == document]
        low = own.mean(1) - DEVIATIONS * own.std(1, correction=0)
        attention[:, documents == document] = torch.where(own < low[:, None], 0.0, own)
    return attention[:, gold].sum(1).view(adapter.layers, adapter.heads)


def _attention(model: Any, inputs: dict[str, Any], last: int, columns: Tensor) -> Tensor:
    """Attention [layers * heads, columns], mean over the rows behind position ``last``."""
    from coreheads.adapters.generation.structure import head_shape
    from coreheads.adapters.patches.query_rows import collect_rows

    layers, heads, _ = head_shape(model)
    every = [(layer, head) for layer in range(layers) for head in range(heads)]
    rows = torch.arange(last + 1, inputs["input_ids"].shape[1])
    with torch.inference_mode(), collect_rows(model, every, rows, columns) as found:
        model(**inputs, use_cache=False, logits_to_keep=1)
    return found.result()


def _neutral(adapter: Adapter, prompt: Prompt, first: int, last: int) -> dict[str, Any]:
    """The prompt's inputs with the neutral words in place of the tokens ``first`` to ``last``, blanks before them kept;
    all other tokens are the same."""
    tokenizer, ids = adapter.processor.tokenizer, prompt.inputs["input_ids"]
    said = tokenizer.decode(ids[0, first : last + 1])
    words = said[: len(said) - len(said.lstrip())] + NEUTRAL
    null = torch.tensor([tokenizer(words, add_special_tokens=False)["input_ids"]], dtype=ids.dtype, device=ids.device)
    return {**prompt.inputs, **adapter.text_inputs(torch.cat([ids[:, :first], null, ids[:, last + 1 :]], 1))}
