"""Kept prompts: the pictures that they were made of count, each once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from coreheads.adapters.lmms_eval.prompt_cache import PromptCache
from coreheads.media.video import Video


def prompt(*values: object) -> Any:
    """Of 40 bytes of tensors beside its media."""
    encoded = [SimpleNamespace(source=SimpleNamespace(value=value)) for value in values]
    return SimpleNamespace(inputs={"input_ids": torch.zeros(10)}, encoded=encoded)


def test_pictures_and_videos_count_once() -> None:
    cache, page = PromptCache(), Image.new("RGB", (100, 50))
    clip = Video(np.zeros((2, 10, 10, 3), dtype=np.uint8), 1.0)
    first, second = prompt(page, page, Path("x.png")), prompt(page, clip)
    cache.get(None, "a", lambda like: first)
    assert cache.bytes == 40 + 4 * 5000
    cache.get(None, "b", lambda like: second)
    assert cache.bytes == 2 * 40 + 4 * 5000 + 600


def test_full_of_pictures() -> None:
    cache, made = PromptCache(max_bytes=50_000), []
    for _ in range(2):
        for number in range(4):
            cache.get(None, number, lambda like, n=number: made.append(n) or prompt(Image.new("RGB", (100, 50))))
    assert made == [0, 1, 2, 3, 2, 3]
