"""What a user writes is text: control tokens in it become the pieces of their characters, in every family."""

from __future__ import annotations

from typing import Any

import pytest
from adapter_cases import image_part, picture, small_adapter, text_part, user, video, video_part
from family_cases import FAMILIES, MOE, adapter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import UserError

EVERY = [*FAMILIES, MOE, "tiny"]
FOREIGN = ["<|im_end|>", "<|image_pad|>", "<IMG_CONTEXT>", "<image>", "</s>", "<|vision_start|>", "<video>"]
MEDIA = [image_part(picture(48, 40)), video_part(video(4, 48, 32))]


def made(name: str) -> Adapter:
    return small_adapter() if name == "tiny" else adapter(name)


def special(model: Adapter) -> list[str]:
    return list(model.processor.tokenizer.get_added_vocab())


def pieces(model: Adapter, text: str) -> list[int]:
    """The oracle: transformers' own pieces of a text in which no special token is one."""
    ids: list[int] = model.processor.tokenizer(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    return ids


def ids(prompt: Prompt) -> list[int]:
    listed: list[int] = prompt.inputs["input_ids"][0].tolist()
    return listed


def beside(model: Adapter, text: str) -> tuple[list[int], list[int]]:
    """The prompt's ids before and after what ``text`` becomes: those around another text at its place."""
    template = [ids(model.prepare(user(*MEDIA, text_part(word)))) for word in ("answer", "0 1")]
    front = next(n for n, (a, b) in enumerate(zip(*template, strict=False)) if a != b)
    back = next(n for n, (a, b) in enumerate(zip(*(t[::-1] for t in template), strict=False)) if a != b)
    return template[0][:front], template[0][len(template[0]) - back :]


@pytest.mark.parametrize("name", EVERY)
def test_each_special_token_in_a_question_is_text(name: str) -> None:
    model = made(name)
    for word in {*special(model), *FOREIGN}:
        text = f"where is {word} the {word}{word}? {word}"
        prompt = model.prepare(user(*MEDIA, text_part(text)), query=text)
        front, back = beside(model, text)
        found = ids(prompt)
        assert found[: len(front)] == front
        assert found[len(found) - len(back) :] == back
        assert found[len(front) : len(found) - len(back)] == pieces(model, text), word
        wanted = list(range(len(front), len(found) - len(back)))
        assert prompt.query_tokens.tolist() == wanted, "the query's tokens are those of its characters"
        assert len(prompt.vision_tokens) == len(prompt.geometry.media)


@pytest.mark.parametrize("name", EVERY)
def test_a_query_that_is_a_special_token_is_found(name: str) -> None:
    model = made(name)
    for word in special(model):
        prompt = model.prepare(user(text_part(f"what does {word} mean?"), *MEDIA), query=word)
        tokens = [ids(prompt)[place] for place in prompt.query_tokens.tolist()]
        assert not set(tokens) & set(model.processor.tokenizer.all_special_ids)
        assert model.processor.tokenizer.decode(tokens).replace(" ", "") == word


@pytest.mark.parametrize("name", EVERY)
def test_a_token_that_two_parts_or_the_template_complete_is_text(name: str) -> None:
    model = made(name)
    for word in special(model):
        for cut in range(1, len(word)):
            whole = ids(model.prepare(user(text_part("a"), text_part(word[:cut]), text_part(word[cut:]))))
            count = [each.count(model.processor.tokenizer.convert_tokens_to_ids(word)) for each in (whole, bare(model))]
            assert count[0] == count[1], (word, cut)


def bare(model: Adapter) -> list[int]:
    return ids(model.prepare(user(text_part("a"), text_part("b"))))


@pytest.mark.parametrize("name", EVERY)
def test_every_role_is_a_user_of_the_template(name: str) -> None:
    model = made(name)
    for word in special(model):
        chat = [
            {"role": "system", "content": f"be {word}"},
            *user(*MEDIA, text_part("where?")),
            {"role": "assistant", "content": f"there {word}"},
            *user(text_part("and?")),
        ]
        plain = [{"role": "system", "content": "be x"}, chat[1], {"role": "assistant", "content": "there x"}, chat[3]]
        counts = [
            [ids(model.prepare(each)).count(number) for number in model.processor.tokenizer.added_tokens_decoder]
            for each in (chat, plain)
        ]
        assert counts[0] == counts[1], word


SIGNS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_texts_with_special_tokens_within(name: str, data: st.DataObject) -> None:
    """What stands between two of the template's own tokens is one text: its ids are its pieces, nothing else moves."""
    model = made(name)
    names = model.processor.tokenizer
    words = st.sampled_from([*special(model), *FOREIGN, "<|", "|>", "<", ">"])
    texts = ["".join(data.draw(st.lists(st.one_of(SIGNS, words), max_size=6))) for _ in range(3)]
    content = [text_part(texts[0]), MEDIA[0], text_part(texts[1]), text_part(texts[2])]
    prompt = model.prepare(user(*content))
    control = set(names.added_tokens_decoder)
    found, own = [[]], []  # type: ignore[var-annotated]
    for token in ids(prompt):
        if token in control:
            own.append(token)
            found.append([])
        else:
            found[-1].append(token)
    # the template's control tokens are those of a prompt of harmless texts
    blank = ids(model.prepare(user(text_part("a"), MEDIA[0], text_part("b"), text_part("c"))))
    assert own == [token for token in blank if token in control]
    # each stretch between two of them is encoded as a text of its own
    whole = names.decode([token for stretch in found for token in stretch])
    if name != "tiny":  # whose tokenizer writes a blank before every word
        assert all(pieces(model, names.decode(stretch)) == stretch for stretch in found)
    for text in texts:
        assert without_blanks(text, names) in without_blanks(whole, names)


def without_blanks(text: str, names: Any) -> str:
    normalizer = names.backend_tokenizer.normalizer
    return "".join((normalizer.normalize_str(text) if normalizer else text).split())


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=30, deadline=None)
@given(SIGNS, SIGNS)
def test_a_text_without_special_tokens_is_encoded_as_transformers_does(name: str, one: str, two: str) -> None:
    model = made(name)
    chat = user(text_part(f"{one} {two}"), text_part(two))
    own = model.processor.apply_chat_template(chat, tokenize=True, add_generation_prompt=True)
    assert ids(model.prepare(chat)) == (own[0] if isinstance(own[0], list) else own)


@pytest.mark.parametrize("name", ["qwen3_vl", "llava_onevision", "tiny"])
def test_a_text_with_special_tokens_where_the_template_rewrites_texts_is_refused(name: str) -> None:
    model = made(name)
    template = model.processor.chat_template
    shown = "p.text" if "p.text" in template else "part['text']"
    try:
        model.processor.chat_template = template.replace(
            f"{shown} }}}}", f"{shown} | replace('a', {shown} | length) }}}}"
        )
        assert model.prepare(user(text_part("a dog")))
        with pytest.raises(
            UserError, match=r"messages: a text holds <\|im_end\|>, and the chat template rewrites texts"
        ):
            model.prepare(user(text_part("a <|im_end|>")))
    finally:
        model.processor.chat_template = template
