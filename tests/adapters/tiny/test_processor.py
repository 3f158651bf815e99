"""The closed vocabulary, its byte fallback, and the saved form of the processor."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor

from coreheads.adapters.tiny.processor import build_processor, build_tokenizer
from coreheads.tasks.mini.vocabulary import BINS, SPECIAL, WORDS, X_WORDS, per_mille

TOKENIZER = build_tokenizer()


def test_every_word_is_one_token_with_or_without_a_blank() -> None:
    for word in WORDS:
        (alone,) = TOKENIZER(word)["input_ids"]
        assert TOKENIZER(f" {word}")["input_ids"] == [alone], word
        assert TOKENIZER.decode([alone]).strip() == word
    assert [len(TOKENIZER(special)["input_ids"]) for special in SPECIAL] == [1] * len(SPECIAL)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_can_be_spelled_and_read_back(text: str) -> None:
    if any(special in text for special in SPECIAL):
        return
    encoded = TOKENIZER(text, return_offsets_mapping=True)
    assert "".join(TOKENIZER.decode(encoded["input_ids"]).split()) == "".join(text.split())
    assert all(0 <= start <= end <= len(text) for start, end in encoded["offset_mapping"])


def test_sentences_are_words() -> None:
    text = "what digit is by the red-star? (A) 3 (B) 7 (C) 1 (D) 0"
    pieces = [TOKENIZER.decode([token]).strip() for token in TOKENIZER(text)["input_ids"]]
    assert pieces == [
        "what",
        "digit",
        "is",
        "by",
        "the",
        "red-star",
        "?",
        "(A)",
        "3",
        "(B)",
        "7",
        "(C)",
        "1",
        "(D)",
        "0",
    ]
    answer = "#7 #8 (313, 188) (375, 250)"
    assert TOKENIZER.decode(TOKENIZER(answer)["input_ids"]).strip() == answer


def test_corner_words_are_rounded_thousandths() -> None:
    assert [per_mille(index) for index in (0, 1, 5, 8, BINS)] == [0, 63, 313, 500, 1000]
    assert len(set(X_WORDS)) == BINS + 1


def test_saved_processor_loads_as_auto_processor(tmp_path: Path) -> None:
    processor = build_processor()
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is type(processor)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "where is the red-star?"}]}]
    assert loaded.apply_chat_template(chat, add_generation_prompt=True) == processor.apply_chat_template(
        chat, add_generation_prompt=True
    )
    assert loaded.video_processor.fps == 2
    assert loaded.image_processor.patch_size == 8
