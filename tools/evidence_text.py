"""A printed document's prompt with text in place of its pages: what is lost by printing, and where."""

from __future__ import annotations

from dataclasses import replace

import torch

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.smol.build import word_tokens
from coreheads.adapters.smol.internvl import SPECIAL
from coreheads.tasks.smol.print import words
from coreheads.tasks.smol.world import Document, words_of

WAYS = ("cells", "breaks", "words", "text")


def as_text(adapter: Adapter, prompt: Prompt, document: Document, way: str) -> Prompt:
    """The prompt without media. The document's tokens stand as vision tokens, so that questions share their prefill.

    Args:
        adapter: Of ``smol``.
        prompt: A question about the document's pages.
        document: What the pages show.
        way: ``cells``: every word's own token in the place of the cell that shows it, the pages' marks as they are;
            ``breaks``: the same with line breaks for marks; ``words``: without marks; ``text``: as the tokenizer writes
            the sentences, which sets a blank before a number.
    """
    ids, places = prompt.inputs["input_ids"].clone(), prompt.vision_tokens
    tokenizer = adapter.processor.tokenizer
    tokens, blank = word_tokens(tokenizer)
    known = dict(zip(words(), tokens, strict=True))
    told = [known[word] for sentence, _ in document.sentences for word in words_of(sentence)]
    if way in ("cells", "breaks"):
        ids[0, places] = torch.tensor(told + [blank] * (len(places) - len(told)))
        if way == "breaks":
            marks = [
                tokenizer.convert_tokens_to_ids(SPECIAL[name]) for name in ("start_image_token", "end_image_token")
            ]
            ids[torch.isin(ids, torch.tensor(marks))] = blank
    else:
        if way == "text":
            told = tokenizer(" ".join(sentence for sentence, _ in document.sentences))["input_ids"]
        behind = ids[:, int(places[-1]) + 2 :]  # the token between marks the end of the page
        ids, places = torch.cat([torch.tensor([told]), behind], 1), torch.arange(len(told))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return replace(prompt, inputs=inputs, vision_tokens=places, media=[], encoded=[])
