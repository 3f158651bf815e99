"""SmolLM2 as it is loaded, in two families: what it reads, where a sentence stands, RAM, patches."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from patches_oracle import hybrid_rule, logits, oracle, vision_rule
from PIL import Image
from smol_case import NAMES, features, needs_smol, smol

from coreheads import Ablate, Hybrid, Region, retrieval_attention_mass
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.smol.build import word_tokens
from coreheads.tasks import registry
from coreheads.tasks.smol.print import page, words
from coreheads.tasks.smol.world import words_of

pytestmark = [needs_smol, pytest.mark.slow, pytest.mark.parametrize("name", NAMES)]

TASK = "coreheads_smol_doc_450"


@cache
def sample(name: str) -> tuple[Prompt, list[Region], dict[str, Any]]:
    task = registry.get(TASK)
    doc = next(doc for doc in task.records("test") if len(task.regions(doc)) == 1)
    return smol(name).prepare(task.messages(doc), query=task.query(doc)), task.regions(doc), doc


def test_the_nearest_embedding_of_every_word_is_its_own(name: str) -> None:
    model = smol(name).model
    tokens, blank = word_tokens(smol(name).processor.tokenizer)
    assert len(set(tokens)) == len(tokens)
    known = torch.tensor([*tokens, blank])
    embeddings = model.get_input_embeddings().weight[known]
    right, listed = 0, words()
    for first in range(0, len(listed), 144):
        shown = listed[first : first + 144]
        picture = {"type": "image", "image": Image.fromarray(page(shown))}
        seen = features(name, smol(name).prepare([{"role": "user", "content": [picture]}]))
        nearest = torch.cdist(seen, embeddings).argmin(1)[:144]
        right += int((nearest[: len(shown)] == torch.arange(first, first + len(shown))).sum())
        assert (nearest[len(shown) :] == len(known) - 1).all()
    assert right / len(listed) >= 0.998


@torch.inference_mode()
def test_pages_give_the_logits_of_their_text(name: str) -> None:
    prompt, _, _ = sample(name)
    model, tokenizer = smol(name).model, smol(name).processor.tokenizer
    ids = prompt.inputs["input_ids"].clone()
    tokens, blank = word_tokens(tokenizer)
    known = torch.tensor([*tokens, blank])
    seen = features(name, prompt)
    ids[0, prompt.vision_tokens] = known[torch.cdist(seen, model.get_input_embeddings().weight[known]).argmin(1)]
    by_text = model(input_ids=ids, logits_to_keep=8).logits[0]
    by_page = model(**prompt.inputs, logits_to_keep=8).logits[0]
    assert (by_text.argmax(1) == by_page.argmax(1)).all()
    assert (by_text - by_page).abs().max() < 0.5  # of logits that range over some 30


def test_a_sentence_is_where_its_words_stand(name: str) -> None:
    prompt, regions, doc = sample(name)
    (region,) = regions
    assert region.box is not None
    located = prompt.locate(regions)
    assert len(located) == round((region.box[2] - region.box[0]) * 12)
    place = prompt.vision_tokens.tolist().index(int(located[0]))
    assert place == region.media * (144 if name == "smol" else 145) + round(region.box[1] * 12) * 12 + round(
        region.box[0] * 12
    )
    assert (
        prompt.inputs["input_ids"][0, prompt.query_tokens].tolist()
        == smol(name).processor.tokenizer(f" {doc['question']}", add_special_tokens=False)["input_ids"]
    )


def test_ram_is_what_eager_attention_says(name: str) -> None:
    prompt, regions, _ = sample(name)
    adapter = smol(name)
    mass = retrieval_attention_mass(adapter, prompt, regions)
    model = adapter.model
    before = model.config.text_config._attn_implementation
    model.set_attn_implementation({"text_config": "eager"})
    try:
        with torch.inference_mode():
            attentions = model(**prompt.inputs, output_attentions=True, logits_to_keep=1).attentions
    finally:
        model.set_attn_implementation({"text_config": before})
    query, target = prompt.query_tokens, prompt.locate(regions)
    expected = torch.stack([layer[0][:, query][:, :, target].sum(-1).mean(-1) for layer in attentions])
    torch.testing.assert_close(mass.cpu(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["hybrid", "vision"])
def test_patches_are_the_dense_masks(name: str, kind: str) -> None:
    prompt, _, _ = sample(name)
    model = smol(name).model
    inputs = dict(prompt.inputs)
    chosen = {(layer, head) for layer in range(30) for head in range(9) if (layer * 9 + head) % 4 == 0}
    patch = Hybrid(chosen, sink=16, window=128) if kind == "hybrid" else Ablate(chosen, mode="vision")
    vision = torch.zeros(1, prompt.tokens, dtype=torch.bool)
    vision[0, prompt.vision_tokens] = True
    rule = hybrid_rule(chosen, 16, 128) if kind == "hybrid" else vision_rule(chosen, patch.scope)
    with oracle(model, rule, vision):
        expected = logits(model, inputs)
    with patch(model):
        torch.testing.assert_close(logits(model, inputs), expected, atol=2e-3, rtol=0)


def test_what_is_asked_is_answered(name: str) -> None:
    prompt, _, doc = sample(name)
    (said,) = smol(name).generate([prompt], max_new_tokens=6, stop=("\n", "."))
    assert registry.get(TASK).doc_scores(doc, said.text)["accuracy"] == 1
    assert words_of(said.text)
