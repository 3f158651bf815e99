"""Printed documents told as text, with a tokenizer that is read along."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.smol.internvl import SPECIAL
from coreheads.tasks.smol.print import words
from coreheads.tasks.smol.world import Document

TOOL = Path(__file__).parents[2] / "tools" / "evidence_text.py"
MARKS = [SPECIAL["start_image_token"], SPECIAL["end_image_token"]]
KNOWN = ["Ċ", *MARKS, *(f"Ġ{word}" if word[0].isalpha() else word for word in words())]


class Tokenizer:
    convert_tokens_to_ids = staticmethod(KNOWN.index)

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [9000] * len(text.split())}


def test_a_document_is_told_in_place_of_its_pages() -> None:
    spec = importlib.util.spec_from_file_location("evidence_text", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    adapter: Any = SimpleNamespace(processor=SimpleNamespace(tokenizer=Tokenizer()))
    begin, end = map(KNOWN.index, MARKS)
    asked = [7000, 7001]
    ids = torch.tensor([[begin, *[8000] * 6, end, *asked]])
    prompt = Prompt({"input_ids": ids, "pixel_values": ids}, torch.tensor([8]), torch.arange(1, 7), [], None, "")  # type: ignore[arg-type]
    document = Document((("The wall is old.", None),))
    told = {way: tool.as_text(adapter, prompt, document, way) for way in tool.WAYS}

    printed = [KNOWN.index(name) for name in ("ĠThe", "Ġwall", "Ġis", "Ġold", ".")]
    line = KNOWN.index("Ċ")
    assert {way: prompt.inputs["input_ids"].tolist() for way, prompt in told.items()} == {
        "cells": [[begin, *printed, line, end, *asked]],
        "breaks": [[line, *printed, line, line, *asked]],
        "words": [[*printed, *asked]],
        "text": [[9000] * 4 + asked],
    }
    assert [prompt.vision_tokens.tolist() for prompt in told.values()] == [
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3],
    ]
    assert not any(prompt.vision_inputs for prompt in told.values())
    assert prompt.inputs["input_ids"] is ids
