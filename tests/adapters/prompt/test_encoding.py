"""Encoding with other tokenizers than the families': signs around a text, blanks before it, tokens that are words."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from coreheads.adapters.prompt.encoding import controls, encode
from coreheads.errors import UserError


def sentencepiece(scheme: str = "first", **vocabulary: int) -> PreTrainedTokenizerFast:
    """As Llama's: a sign of the beginning and the end, a blank's mark before the first word, one token a character."""
    signs = ["<unk>", "<s>", "</s>", *"\u2581abcdefghijklmnopqrstuvwxyz<>/|_? "]
    known = {sign: number for number, sign in enumerate(signs)} | vocabulary
    made = Tokenizer(models.BPE(vocab=known, merges=[], unk_token="<unk>", ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    made.add_special_tokens(["<unk>", "<s>", "</s>", "<|user|>"])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_signs_around_the_text_and_blanks_before_it_are_kept(scheme: str) -> None:
    names = sentencepiece(scheme)
    for start in ("<|user|>", "be <|user|>", ""):
        text = f"{start}say </s> to <|user|>all<|user|>"
        written = [(len(start), len(text) - len("<|user|>"))]
        found, offsets = encode(names, text, written)
        # the same prompt with another text of as many characters there, which spells no token
        other = text[: written[0][0]] + text[slice(*written[0])].replace("</s>", "<zs>").replace("<|u", "<zu")
        other = other.replace("<zuser|>", "<|zser|>") + "<|user|>"
        wanted = names(other, return_offsets_mapping=True)
        assert offsets == wanted["offset_mapping"]
        letters = [names.convert_ids_to_tokens(ids) for ids in (found, wanted["input_ids"])]
        assert [a for a, b in zip(*letters, strict=True) if a != b] == ["/", "u"]


def test_a_prompt_without_control_tokens_in_a_text_is_the_tokenizers_own() -> None:
    names = sentencepiece()
    text = "<|user|>say all<|user|>"
    found, offsets = encode(names, text, [(8, 15)])
    own = names(text, return_offsets_mapping=True)
    assert (found, offsets) == (own["input_ids"], own["offset_mapping"])


def test_tokens_that_a_checkpoint_adds_as_words_stay_words_and_others_are_text() -> None:
    names = sentencepiece()
    names.add_tokens([AddedToken("kinase"), AddedToken("  ", normalized=False), AddedToken("<think>")])
    assert sorted(controls(names).values()) == ["</s>", "<s>", "<think>", "<unk>", "<|user|>"]
    text = "<|user|>a kinase  <think></s>"
    found, _ = encode(names, text, [(8, len(text))])
    tokens = names.convert_ids_to_tokens(found)
    assert tokens.count("kinase") == tokens.count("  ") == 1
    assert tokens.count("<think>") == 0
    assert tokens.count("</s>") == 1, "the end's own sign"
    # tokens may be added later
    names.add_tokens([AddedToken("<late>")])
    assert "<late>" not in names.convert_ids_to_tokens(encode(names, "<|user|><late>", [(8, 14)])[0])


def test_what_the_ordinary_vocabulary_makes_of_a_text_is_refused() -> None:
    names = sentencepiece("never")
    # the whole word is a token of the vocabulary, so that nothing else can be made of it
    with pytest.raises(UserError, match="messages: </s> in a text, which this tokenizer cannot encode as text"):
        encode(names, "<|user|></s>", [(8, 12)])


def test_a_token_that_only_the_normalised_text_spells_is_text() -> None:
    made = Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate("<>abc")}, merges=[]))
    made.normalizer = normalizers.NFKC()
    made.add_tokens([AddedToken("<ab>", normalized=True)])
    names = PreTrainedTokenizerFast(tokenizer_object=made)
    wide = "\uff1cab\uff1e"
    assert names(wide)["input_ids"] == [5]
    assert encode(names, f"<ab>{wide}", [(4, 8)]) == (
        [5, 0, 2, 3, 1],
        [(0, 4), (4, 5), (5, 6), (6, 7), (7, 8)],
    )
