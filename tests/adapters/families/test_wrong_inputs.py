"""Inputs that cannot be used: one line that names what is wrong, alike for every family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from adapter_cases import image_part, picture, text_part, user, video, video_part
from family_cases import FAMILIES, adapter
from PIL import Image

from coreheads.errors import UserError
from coreheads.regions import Region

PICTURE = image_part(picture(60, 40))


@pytest.mark.parametrize(
    ("messages", "query", "said"),
    [
        (user(image_part(Image.new("RGB", (0, 0))), text_part("a")), None, "it has 0 x 0 pixels"),
        (user(image_part(Image.new("RGB", (0, 5))), text_part("a")), None, "it has 0 x 5 pixels"),
        (user({"type": "image", "image": ""}, text_part("a")), None, "messages[0].content[0].image: '', expected"),
        (user({**PICTURE, "start": 1.0}), None, "messages[0].content[0]: has start or end, but is an image"),
        (user(PICTURE, text_part("\ud83e")), None, "messages[0].content[1].text: "),
        (user(PICTURE, text_part("a")), 5, "query: 5, expected a part of the prompt's text"),
        (user(PICTURE, text_part("a e\u0301")), "\u0301", "query: "),
    ],
)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_prompts(model_type: str, messages: Any, query: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        adapter(model_type).prepare(messages, query=query)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (Region(0, ("a", 0, 1, 1)), "expected four finite numbers"),  # type: ignore[arg-type]
        (Region(0, 5), "expected four finite numbers"),  # type: ignore[arg-type]
        (Region(1, None, "a", 3), "start is 'a', expected a finite number of seconds"),  # type: ignore[arg-type]
        (Region("0"), "media is '0', expected 0 to 1"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("model_type", FAMILIES)
def test_regions(model_type: str, region: Region, said: str) -> None:
    prompt = adapter(model_type).prepare(user(PICTURE, video_part(video(4, 30, 20)), text_part("a")))
    with pytest.raises(UserError) as caught:
        prompt.locate([region])
    assert said in str(caught.value)
    number: Any = np.int64(0)
    assert len(prompt.locate([Region(number, (np.float32(0.1), 0.1, 0.5, 0.5))])) > 0


def test_generation() -> None:
    made = adapter("internvl")
    prompt = made.prepare(user(PICTURE, text_part("a")))
    stop: Any
    for stop in (5, [3], None):
        with pytest.raises(UserError, match="stop: "):
            made.generate([prompt], stop=stop)
    seed: Any = "a"
    with pytest.raises(UserError, match="seed: 'a'"):
        made.generate([prompt], temperature=1.0, seed=seed)
    assert made.generate([prompt], temperature=1e-320, max_new_tokens=2) == made.generate([prompt], max_new_tokens=2)
    with pytest.raises(UserError, match="collate: no prompts"):
        made.collate([])
    assert made.generate([]) == []
