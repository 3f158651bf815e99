"""Query tokens, checked by decoding the span of tokens back to text."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from adapter_cases import image_part, picture, small_adapter, small_model, text_part, user, video, video_part
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3VLProcessor

from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.tiny.processor import build_processor
from coreheads.errors import UserError
from coreheads.tasks.mini.vocabulary import SPECIAL


@cache
def bytes_adapter() -> Qwen3VL:
    """With a tokenizer built as those of the Qwen models are: composed characters, byte-level pairs, no added blank."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = "question: where is the red-star ? answer café au lait النجمة الحمراء 红色的星星 🦄 user system " * 4
    tokenizer.train_from_iterator([words], trainer)
    processor = build_processor()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
        image_token=processor.image_token,
        video_token=processor.video_token,
        vision_start_token=processor.vision_start_token,
        vision_end_token=processor.vision_end_token,
    )
    own = Qwen3VLProcessor(
        image_processor=processor.image_processor,
        tokenizer=fast,
        video_processor=processor.video_processor,
        chat_template=processor.chat_template,
    )
    return Qwen3VL(small_model(), own, id="bytes")


def decoded(prompt: Prompt, adapter: Qwen3VL | None = None) -> str:
    """The text of the query's tokens; they must stand side by side."""
    places = prompt.query_tokens.tolist()
    assert places == list(range(places[0], places[-1] + 1))
    ids = prompt.inputs["input_ids"][0, prompt.query_tokens].tolist()
    return str((adapter or small_adapter()).processor.tokenizer.decode(ids))


def before(prompt: Prompt) -> str:
    ids = prompt.inputs["input_ids"][0, : prompt.query_tokens[0]].tolist()
    return str(small_adapter().processor.tokenizer.decode(ids))


def on_media(text: str) -> list[dict[str, Any]]:
    return user(text_part("#0 red-star"), image_part(picture(48, 48)), video_part(video(4, 48, 32)), text_part(text))


QUERIES = [
    "red-star",
    "the red-star",
    "café au lait",
    "红色的星星",
    "🦄🏳️‍🌈",
    "النجمة الحمراء",
    "הכוכב",
    "q",
    "where is the red-star",
    "naïve—dash “quoted”",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_tokens_decode_to_the_query(query: str) -> None:
    prompt = small_adapter().prepare(on_media(f"question: where is {query} ? answer"), query=query)
    # the embedded model's tokenizer writes a blank before every word
    assert decoded(prompt).replace(" ", "") == query.replace(" ", "")
    assert not set(prompt.query_tokens.tolist()) & set(prompt.vision_tokens.tolist())
    assert before(prompt).count("question") == 1


def test_the_blank_before_the_first_word_belongs_to_its_token() -> None:
    # the tokenizer joins a word with the blank before it, so a query given with blanks finds the same tokens
    bare = small_adapter().prepare(on_media("where is the red-star?"), query="red-star")
    blank = small_adapter().prepare(on_media("where is the red-star?"), query="  red-star ")
    assert bare.query_tokens.tolist() == blank.query_tokens.tolist()
    assert len(bare.query_tokens) == 1


def test_the_last_user_text_counts_even_when_others_hold_the_query_too() -> None:
    chat = [
        {"role": "system", "content": "red-star red-star"},
        *on_media("red-star where is the red-star? answer"),
        {"role": "assistant", "content": "the red-star is here"},
        {"role": "user", "content": [text_part("red-star and the"), text_part("red-star?"), text_part(" ok")]},
        {"role": "assistant", "content": "red-star"},
    ]
    prompt = small_adapter().prepare(chat, query="red-star")
    assert decoded(prompt).strip() == "red-star"
    assert before(prompt).count("red-star") == 7
    # a content that is a plain text is a text like any other
    prompt = small_adapter().prepare([*chat[:2], {"role": "user", "content": "red-star"}, chat[4]], query="red-star")
    assert before(prompt).count("red-star") == 5


def test_a_whole_word_is_preferred_to_the_same_letters_in_a_longer_one() -> None:
    prompt = small_adapter().prepare(on_media("where is the cat? concatenate cats"), query="cat")
    assert decoded(prompt).strip() == "cat"
    assert before(prompt).rstrip().endswith("the")
    prompt = small_adapter().prepare(on_media("concatenate cats"), query="cat")
    assert before(prompt).rstrip().endswith("concatenate")
    # scripts without blanks between words have no such thing: the last one counts
    prompt = small_adapter().prepare(on_media("猫。小猫"), query="猫")
    assert before(prompt).rstrip().endswith("小")


@pytest.mark.parametrize("query", ["blue-bar", " ", "", "Red-star", "assistant\n", "<|im_start|>"])
def test_a_query_that_is_not_in_the_users_texts_is_refused(query: str) -> None:
    with pytest.raises(UserError, match="query: "):
        small_adapter().prepare(on_media("where is the red-star?"), query=query)


def test_without_query_there_are_no_query_tokens() -> None:
    assert small_adapter().prepare(on_media("where?")).query_tokens.shape == (0,)


def test_a_template_that_trims_texts_moves_the_query_with_them() -> None:
    processor = small_adapter().processor
    template = processor.chat_template
    try:
        processor.chat_template = template.replace("{{ part['text'] }}", "{{ part['text'] | trim }}")
        prompt = small_adapter().prepare(on_media("   where is the red-star?   "), query="red-star")
        assert decoded(prompt).strip() == "red-star"
        processor.chat_template = template.replace("{{ part['text'] }}", "{{ part['text'] | upper }}")
        with pytest.raises(UserError, match="template rewrites"):
            small_adapter().prepare(on_media("where is the red-star?"), query="red-star")
    finally:
        processor.chat_template = template


@pytest.mark.parametrize("query", [*QUERIES, "cafe\u0301"])
def test_the_tokens_of_a_byte_level_tokenizer_decode_to_the_query(query: str) -> None:
    prompt = bytes_adapter().prepare(on_media(f"question: where is {query} ? answer"), query=query)
    assert len(prompt.query_tokens) > 0
    assert decoded(prompt, bytes_adapter()).strip() == normalizers.NFC().normalize_str(query)


# surrogates cannot be encoded, and composing characters would join the query to its neighbours
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z", "M"]), min_size=1, max_size=6)
AROUND = st.text(st.characters(exclude_categories=["Cs", "Cc", "M"]), max_size=8)


@settings(max_examples=60)
@given(PLAIN, AROUND, AROUND)
def test_any_text_around_any_query(query: str, head: str, tail: str) -> None:
    """The fewest tokens whose bytes hold the query's: dropping the first or last one would lose some of it."""
    adapter = bytes_adapter()
    prompt = adapter.prepare([{"role": "user", "content": f"{head} {query} {tail}"}], query=query)
    places = prompt.query_tokens.tolist()
    composed = normalizers.NFC().normalize_str(query)
    decode = adapter.processor.tokenizer.decode
    ids = prompt.inputs["input_ids"][0].tolist()
    assert composed in decode(ids[places[0] : places[-1] + 1])
    assert composed not in decode(ids[places[0] + 1 : places[-1] + 1])
    assert composed not in decode(ids[places[0] : places[-1]])
