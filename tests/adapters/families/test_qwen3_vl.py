"""Preparing prompts: the same tensors as the plain processor call, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_cases import (
    image_part,
    mixed,
    picture,
    small_adapter,
    small_model,
    text_part,
    user,
    video,
    video_part,
)
from PIL import Image
from transformers.video_utils import VideoMetadata

from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.adapters.tiny.processor import build_processor
from coreheads.errors import UserError


def plain_call() -> Any:
    """The mixed prompt through the processor alone, its video sampled by the processor itself."""
    processor = build_processor()
    chat = [
        {"role": m["role"], "content": m["content"] if isinstance(m["content"], str) else list(m["content"])}
        for m in mixed()
    ]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    clip = video(7, 64, 48)
    return processor(
        text=[text],
        images=[picture(70, 50), picture(33, 90, 1)],
        videos=[clip.frames],
        videos_kwargs={
            "video_metadata": [VideoMetadata(total_num_frames=7, fps=2.0)],
            "do_sample_frames": True,
        },
        return_tensors="pt",
    )


def test_the_inputs_are_those_of_the_plain_processor_call() -> None:
    prompt = small_adapter().prepare(mixed(), query="red-star")
    expected = plain_call()
    assert prompt.inputs.keys() == set(expected.keys())
    for name, value in expected.items():
        assert torch.equal(prompt.inputs[name].to(value.dtype), value), name
    assert prompt.tokens == expected["input_ids"].shape[1]
    assert [medium.kind for medium in prompt.media] == ["image", "video", "image"]
    assert [(medium.width, medium.height) for medium in prompt.media] == [(70, 50), (64, 48), (33, 90)]
    # an odd number of frames: the last one is shown twice
    assert prompt.media[1].frames == ((0, 1), (2, 3), (4, 5), (6, 6))
    assert prompt.media[1].times(3) == (3.0, 3.0)


def test_vision_tokens_stand_where_the_model_puts_vision_features() -> None:
    adapter = small_adapter()
    prompt = adapter.prepare(mixed())
    seen: list[torch.Tensor] = []
    hook = adapter.model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["visual_pos_masks"]), with_kwargs=True
    )
    try:
        with torch.no_grad():
            adapter.model(**prompt.inputs)
    finally:
        hook.remove()
    assert torch.equal(seen[0][0].nonzero()[:, 0], prompt.vision_tokens)


def test_media_taken_over_from_another_prompt_give_the_same_inputs() -> None:
    adapter = small_adapter()
    first = adapter.prepare(mixed())
    again = adapter.prepare(mixed(), query="red-star", like=first)
    assert again.inputs["pixel_values"] is first.inputs["pixel_values"]
    assert again.preprocess_s is None
    alone = adapter.prepare(mixed(), query="red-star")
    assert alone.preprocess_s is not None
    assert alone.preprocess_s > 0
    for name, value in alone.inputs.items():
        assert torch.equal(again.inputs[name], value), name
    assert torch.equal(again.query_tokens, alone.query_tokens)
    other = adapter.prepare(user(image_part(picture(70, 50, seed=5)), text_part("?")), like=first)
    assert other.preprocess_s is not None


def test_pictures_come_as_objects_paths_and_texts_and_upright(tmp_path: Path) -> None:
    adapter = small_adapter()
    sideways = picture(48, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    path = tmp_path / "sideways.png"
    sideways.save(path, exif=exif)
    upright = adapter.prepare(user(image_part(sideways.transpose(Image.Transpose.ROTATE_270)), text_part("a")))
    for value in (path, str(path), f"file://{path}"):
        prompt = adapter.prepare(user({"type": "image", "url": value}, text_part("a")))
        assert torch.equal(prompt.inputs["pixel_values"], upright.inputs["pixel_values"])
        assert (prompt.media[0].width, prompt.media[0].height) == (32, 48)
    grey = adapter.prepare(user(image_part(sideways.convert("L")), text_part("a")))
    assert grey.media[0].width == 48


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "expected a list of messages"),
        ([{"role": "robot", "content": "a"}], "messages[0].role: 'robot'"),
        ([{"role": "user", "content": None}], "messages[0].content: None"),
        (user({"type": "sound"}), "messages[0].content[0].type: 'sound'"),
        (user({"type": "text"}), "messages[0].content[0].text: None"),
        (user({"type": "image"}), "messages[0].content[0]: has no source"),
        (user(image_part(3)), "messages[0].content[0].image: a int, expected a PIL image or a path"),
        (user(image_part("https://host/a.png")), "nothing is fetched"),
        (user(image_part("no/such.png")), "no/such.png: no such picture (messages[0].content[0])"),
        (user(image_part(__file__)), "test_qwen3_vl.py: cannot be read as a picture"),
        (user(video_part("no/such.mp4")), "no/such.mp4: no such video"),
        (user(video_part("a.mp4", start=2.0, end=1.0)), "start is 2.0 and end is 1.0"),
        (user(video_part("a.mp4", start=float("nan"))), "messages[0].content[0].start: nan"),
        (user(image_part(picture(1000, 2))), "refused by the processor (absolute aspect ratio"),
    ],
)
def test_wrong_messages_are_named(messages: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        small_adapter().prepare(messages)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_reach_the_processor() -> None:
    adapter = Qwen3VL(small_model(), build_processor(), fps=1, max_frames=6, max_pixels=16 * 16 * 16)
    prompt = adapter.prepare(user(image_part(picture(320, 320)), video_part(video(20, 64, 48)), text_part("a")))
    assert int(prompt.inputs["image_grid_thw"].prod()) // 4 <= 16
    assert sum(len(pair) for pair in prompt.media[1].frames) == 6
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"speed": 1}, "setting speed"),
        ({"fps": 0}, "setting fps: 0"),
        ({"fps": "2"}, "'2'"),
    ]
    for settings, said in wrong:
        with pytest.raises(UserError, match=said):
            Qwen3VL(small_model(), build_processor(), **settings)


def test_describe() -> None:
    assert small_adapter().describe() == {
        "id": "small",
        "revision": None,
        "model_type": "qwen3_vl",
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
    }


def test_positions_do_not_depend_on_what_the_model_saw_before() -> None:
    adapter = small_adapter()
    prompt = adapter.prepare(mixed())
    before = adapter.position_ids(prompt)
    with torch.no_grad():
        adapter.model(**adapter.prepare(user(image_part(picture(160, 160)), text_part("a"))).inputs)
    assert torch.equal(adapter.position_ids(prompt), before)
    assert before.shape == (3, 1, prompt.tokens)
    plain = adapter.prepare([{"role": "user", "content": "a"}])
    assert torch.equal(adapter.position_ids(plain)[0, 0], torch.arange(plain.tokens))
