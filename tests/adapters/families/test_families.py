"""Every family alike: inputs as the processor's own call makes them, parts in their order, query tokens, answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user, video, video_part
from family_cases import FAMILIES, MOE, adapter, new_adapter, text_of
from transformers.video_utils import VideoMetadata

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import UserError
from coreheads.regions import Region

QUESTION = text_part("where is the red-star ?")
PICTURES = [picture(300, 200), picture(90, 333, 1), picture(61, 62, 2)]
CLIP = video(9, 64, 48, fps=3.0)

PROMPTS: dict[str, list[dict[str, Any]]] = {
    "one picture": user(image_part(PICTURES[0]), QUESTION),
    "pictures": user(*map(image_part, PICTURES), QUESTION),
    "pages": user(
        *(part for n, page in enumerate(PICTURES) for part in (text_part(f"page {n} "), image_part(page))), QUESTION
    ),
    "video": [{"role": "system", "content": "you look at videos"}, *user(video_part(CLIP), QUESTION)],
    "mixed": mixed(),
    "turns": [
        *user(image_part(PICTURES[0]), QUESTION),
        {"role": "assistant", "content": "there"},
        *user(text_part("and here ?"), image_part(PICTURES[1]), text_part("the red-star ?")),
    ],
}


def media_of(messages: list[dict[str, Any]], kind: str) -> list[Any]:
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    return [part[kind] for content in contents for part in content if part["type"] == kind]


def plain_call(made: Adapter, prompt: Prompt, messages: list[dict[str, Any]]) -> Any:
    """The rendered prompt and its media through the processor alone."""
    pictures, clips = media_of(messages, "image"), media_of(messages, "video")
    shown = [medium for medium in prompt.media if medium.kind == "video"]
    indices = [[frame for patch in medium.frames for frame in patch] for medium in shown]
    return made.processor(
        text=[prompt.text],
        images=([pictures] if made.model_type == "llava_onevision" else pictures) if pictures else None,
        videos=[clip.frames[index] for clip, index in zip(clips, indices, strict=True)] or None,
        videos_kwargs={
            "video_metadata": [
                VideoMetadata(total_num_frames=len(clip.frames), fps=clip.fps, frames_indices=index)
                for clip, index in zip(clips, indices, strict=True)
            ],
            "do_sample_frames": False,
        },
        return_tensors="pt",
    )


@pytest.mark.parametrize("published", [False, True], ids=["small", "published"])
@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_inputs_are_those_of_the_plain_processor_call(model_type: str, name: str, published: bool) -> None:
    made = adapter(model_type, published)
    prompt = made.prepare(PROMPTS[name], query="red-star")
    expected = plain_call(made, prompt, PROMPTS[name])
    assert prompt.inputs.keys() == set(expected.keys())
    for key, value in expected.items():
        assert torch.equal(prompt.inputs[key].to(value.dtype), value), key
    assert text_of(made, prompt.inputs["input_ids"][0, prompt.query_tokens].tolist()).strip() == "red-star"


@pytest.mark.parametrize("name", ["pages", "mixed", "turns"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_parts_keep_their_order(model_type: str, name: str) -> None:
    """Read back from the tokens: each text, and each medium's vision tokens, where the messages have them."""
    made = adapter(model_type)
    prompt = made.prepare(PROMPTS[name])
    shown = {int(place): int(media) for place, media in zip(prompt.vision_tokens, prompt.geometry.media, strict=True)}
    pieces: list[list[int] | int] = [[]]
    for place, token in enumerate(prompt.inputs["input_ids"][0].tolist()):
        if place in shown:
            pieces += [shown[place], []]
        else:
            pieces[-1].append(token)  # type: ignore[union-attr]
    read = "".join(f"[{piece}]" if isinstance(piece, int) else text_of(made, piece) for piece in pieces)
    place = number = 0
    for message in PROMPTS[name]:
        parts = [text_part(message["content"])] if isinstance(message["content"], str) else message["content"]
        for part in parts:
            wanted = part["text"] if part["type"] == "text" else f"[{number}]"
            number += part["type"] != "text"
            place = read.index(wanted, place) + len(wanted)
            # all of a medium's tokens stand before the next part
            place = max(place, read.rfind(wanted) + len(wanted)) if part["type"] != "text" else place


def test_media_count_as_in_the_messages_even_where_a_template_shows_them_by_kind() -> None:
    made = adapter("llava_onevision")
    messages = user(video_part(CLIP), image_part(PICTURES[0]), QUESTION)
    ordered = made.prepare(messages)
    assert ordered.text.index("<video>") < ordered.text.index("<image>")
    # as it would be if the message were rendered by kind
    unordered = type(made)(made.model, made.processor)
    unordered._render = super(type(made), made)._render  # type: ignore[method-assign]
    prompt = unordered.prepare(messages)
    assert prompt.text.index("<video>") > prompt.text.index("<image>")
    assert [medium.kind for medium in prompt.media] == ["video", "image"]
    for region in (Region(0, (0.1, 0.1, 0.2, 0.2)), Region(1, (0.1, 0.1, 0.2, 0.2))):
        kind = made.vision_token_ids[region.media == 0]
        for each in (ordered, prompt):
            found = each.locate([region])
            assert len(found)
            assert set(each.inputs["input_ids"][0, found].tolist()) == {kind}


def test_a_template_that_drops_media_is_refused() -> None:
    made = adapter("internvl")
    template = made.processor.chat_template
    try:
        made.processor.chat_template = "{% for m in messages %}{{ m.role }}{% endfor %}"
        with pytest.raises(UserError, match="chat template: shows 0 media of 1"):
            made.prepare(PROMPTS["one picture"])
    finally:
        made.processor.chat_template = template


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize(
    "query", ["red-star", "café au lait", "红色的星星", "🦄🏳️‍🌈", "النجمة الحمراء", "הכוכב", "naïve—“dash”"]
)
def test_query_tokens(model_type: str, query: str) -> None:
    made = adapter(model_type)
    messages = user(
        text_part(f"{query} page 0"),
        image_part(PICTURES[2]),
        text_part(f"{query}? or  {query} there ?"),
        text_part("now ?"),
    )
    prompt = made.prepare(messages, query=f"  {query} ")
    places = prompt.query_tokens.tolist()
    ids = prompt.inputs["input_ids"][0].tolist()
    assert places == list(range(places[0], places[-1] + 1))
    # the query and no more than the blank before it, at its last occurrence
    assert text_of(made, [ids[place] for place in places]).strip() == query
    assert text_of(made, ids[: places[0]]).count(query) == 2
    assert query not in text_of(made, ids[places[-1] + 1 :])


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_answers_are_those_of_transformers_own_generate(model_type: str) -> None:
    made = adapter(model_type)
    said: set[int] = set()
    for name in ("one picture", "pictures", "mixed"):
        prompt = made.prepare(PROMPTS[name])
        own = made.generate([prompt], max_new_tokens=12)[0].token_ids
        with torch.inference_mode():
            ids = made.model.generate(**prompt.inputs, max_new_tokens=12, do_sample=False)
        theirs = ids[0, prompt.tokens :].tolist()
        assert own == theirs[: len(own)]
        said |= set(own)
    # a model that only says one thing would agree with anything
    assert len(said) > 3


@pytest.mark.parametrize("model_type", FAMILIES)
def test_batches_give_the_answers_of_single_prompts(model_type: str) -> None:
    made = adapter(model_type)
    prompts = [made.prepare(messages, query="red-star") for messages in PROMPTS.values()]
    alone = [made.generate([prompt], max_new_tokens=6)[0] for prompt in prompts]
    batch = made.collate(prompts)
    assert (batch["attention_mask"] == 0).any()
    with torch.inference_mode():
        logits = made.model(**batch, logits_to_keep=1).logits[:, -1]
        for row, prompt in zip(logits, prompts, strict=True):
            own = made.model(**made.collate([prompt]), logits_to_keep=1).logits[0, -1]
            torch.testing.assert_close(row, own, atol=2e-4, rtol=1e-4)
    together = made.generate(prompts, max_new_tokens=6, batch_tokens=10**6)
    shared = made.generate(prompts, max_new_tokens=6, share_prefix=True)
    for one, two, three in zip(alone, together, shared, strict=True):
        assert one.text == two.text == three.text
        assert one.prompt_tokens == two.prompt_tokens


@pytest.mark.parametrize("model_type", FAMILIES)
def test_prompts_on_the_same_media_share_their_pixels(model_type: str) -> None:
    made = adapter(model_type)
    first = made.prepare(PROMPTS["mixed"])
    again = made.prepare(PROMPTS["mixed"], query="red-star", like=first)
    assert again.preprocess_s is None
    assert all(again.vision_inputs[name] is value for name, value in first.vision_inputs.items())
    fresh = made.prepare(PROMPTS["mixed"], query="red-star")
    assert all(torch.equal(again.inputs[name], value) for name, value in fresh.inputs.items())
    assert torch.equal(again.geometry.box, fresh.geometry.box)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_timings_and_patches(model_type: str) -> None:
    made = adapter(model_type)
    prompt = made.prepare(PROMPTS["mixed"], query="red-star")
    dense = made.generate([prompt], max_new_tokens=5, timing=True)[0]
    assert dense.timings is not None
    assert dense.timings["decode_tokens"] == len(dense.token_ids) - 1
    for phase in ("preprocess_s", "vision_s", "prefill_s", "decode_s"):
        seconds = dense.timings[phase]
        assert seconds is not None
        assert seconds > 0
    everything = {(layer, head) for layer in range(made.layers) for head in range(made.heads)}
    with Hybrid(everything, sink=1, window=2)(made.model):
        assert made.generate([prompt], max_new_tokens=5)[0].token_ids == dense.token_ids
    patch = Hybrid({(0, 1)}, sink=2, window=8)
    with patch(made.model):
        cached = made.generate([prompt], max_new_tokens=5, cache_factory=lambda: patch.cache(made.model))[0]
        assert cached.token_ids == made.generate([prompt], max_new_tokens=5)[0].token_ids


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_half_precision(model_type: str) -> None:
    made = new_adapter(model_type, dtype=torch.bfloat16)
    prompts = [made.prepare(PROMPTS[name], query="red-star") for name in ("mixed", "one picture")]
    answers = made.generate(prompts, max_new_tokens=3)
    assert all(len(answer.token_ids) > 0 for answer in answers)


def test_experts_have_the_same_map() -> None:
    dense, experts = (adapter(name).prepare(mixed(), query="red-star") for name in ("qwen3_vl", MOE))
    assert adapter(MOE).describe()["model_type"] == MOE
    for name in ("media", "patch", "token", "box"):
        assert torch.equal(getattr(dense.geometry, name), getattr(experts.geometry, name))
