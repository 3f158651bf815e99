"""Document attention skips other pages, at once and in pieces, and refuses models whose pages cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from family_cases import MOE, adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, document_rule, logits, states

from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.kernels.paged import paged_attention
from coreheads.adapters.kernels.work_count import counted
from coreheads.adapters.patches.document import Document
from coreheads.adapters.patches.registry import make_patch
from coreheads.errors import UserError


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.integers(1, 30),
    st.sampled_from([0, 1, 3, 40]),
    st.sampled_from([(1, 1), (2, 3)]),
)
def test_it_computes_the_pairs_that_are_seen_and_no_others(
    shown: list[bool], rows: int, sink: int, heads: tuple[int, int]
) -> None:
    length, rows = len(shown), min(rows, len(shown))
    vision = np.array(shown)
    i, j = np.arange(length - rows, length)[:, None], np.arange(length)[None, :]
    allowed = torch.from_numpy((j <= i) & document_rule(sink)(0, 0, i, j, vision))
    query, key, value = states(1, *heads, rows, length)
    wanted = dense(query, key, value, allowed.expand(1, query.shape[1], -1, -1), 0.3)
    with counted() as pairs:
        # what is known of later tokens changes nothing
        found = paged_attention(query, key, value, 0.3, sink, torch.tensor([*shown, True, False]))
    torch.testing.assert_close(found, wanted)
    assert pairs["full"] == int(allowed.sum()) * query.shape[1]


@pytest.mark.parametrize("model_type", ["qwen3_vl", "internvl", MOE])
def test_a_prefill_in_pieces_is_the_same(model_type: str) -> None:
    made = adapter(model_type)
    prompts = [made.prepare(mixed()), made.prepare(user(image_part(picture(61, 60)), text_part("where is it ?")))]
    batch = made.collate(prompts)
    with make_patch("document", sink=1)(made.model):
        whole = logits(made.model, batch, logits_to_keep=1)
        with chunked_prefill(made.model, 7):
            pieces = logits(made.model, batch, use_cache=True, logits_to_keep=1)
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=0)


def test_one_page_is_full_attention() -> None:
    made = adapter("qwen3_vl", dtype=torch.float64)
    prompt = made.prepare(user(image_part(picture(61, 60)), text_part("where is it ?")))
    batch = {name: value.double() if name.startswith("pixel") else value for name, value in prompt.inputs.items()}
    plain = logits(made.model, batch)
    with Document()(made.model):
        torch.testing.assert_close(logits(made.model, batch), plain, atol=1e-10, rtol=0)


def test_it_is_refused_where_pages_cannot_be_told_apart() -> None:
    with (
        pytest.raises(UserError, match="document: the pages of llava_onevision cannot be told apart, expected one of"),
        Document()(adapter("llava_onevision").model),
    ):
        pass
    with pytest.raises(UserError, match="sink is -1, expected a whole number of at least 0"):
        Document(sink=-1)
    assert Document().describe() == {"patch": "document", "sink": 4}
