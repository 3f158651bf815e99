"""Real photographs and pages go the whole way; skipped where COREHEADS_FIXTURES does not name slices of the data.

The embedded model's answers mean nothing here: what must be right is everything around them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from coreheads import Region, load_adapter, retrieval_attention_mass
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.hybrid import Hybrid

CELL = 16


@pytest.fixture(scope="module")
def fixtures() -> Path:
    folder = os.environ.get("COREHEADS_FIXTURES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COREHEADS_FIXTURES does not name a folder with slices of the real benchmarks")
    return Path(folder)


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    return load_adapter("tiny")


def cells(width: int, height: int, box: tuple[float, float, float, float], first: int) -> list[int]:
    """Vision tokens, counted from ``first``, that a normalised box overlaps, by the arithmetic of the grid alone."""
    columns, rows = max(1, round(width / CELL)), max(1, round(height / CELL))
    x0, y0, x1, y1 = box
    return [
        first + row * columns + column
        for row in range(rows)
        for column in range(columns)
        if column / columns < x1 and (column + 1) / columns > x0 and row / rows < y1 and (row + 1) / rows > y0
    ]


def check(adapter: Adapter, pictures: list[Path], query: str, region: Region) -> None:
    content: list[dict[str, Any]] = [{"type": "image", "image": str(picture)} for picture in pictures]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": f"Where is this: {query}?"}]}]
    prompt = adapter.prepare(messages, query=query)
    decoded = adapter.processor.tokenizer.decode(prompt.inputs["input_ids"][0, prompt.query_tokens])
    assert "".join(decoded.split()) == "".join(query.split())
    sizes = [Image.open(picture).size for picture in pictures]
    counts = [round(width / CELL) * round(height / CELL) for width, height in sizes]
    assert len(prompt.vision_tokens) == sum(counts)
    target = prompt.locate([region])
    assert region.box is not None
    width, height = sizes[region.media]
    first = sum(counts[: region.media])
    inside = set(prompt.vision_tokens[cells(width, height, region.box, first)].tolist())
    # resizing by a few percent blends up to three pixels of the picture into a cell from beyond its edge
    x0, y0, x1, y1 = region.box
    x, y = 3 / width, 3 / height
    reach = set(prompt.vision_tokens[cells(width, height, (x0 - x, y0 - y, x1 + x, y1 + y), first)].tolist())
    assert inside <= set(target.tolist()) <= reach
    ram = retrieval_attention_mass(adapter, prompt, [region])
    assert ram.shape == (adapter.layers, adapter.heads)
    assert bool(torch.isfinite(ram).all())
    assert 0 <= float(ram.min()) <= float(ram.max()) <= 1
    dense = adapter.generate([prompt], max_new_tokens=4)[0]
    assert dense.prompt_tokens == prompt.tokens
    everything = frozenset((layer, head) for layer in range(adapter.layers) for head in range(adapter.heads))
    with Hybrid(everything, sink=4, window=64)(adapter.model):
        assert adapter.generate([prompt], max_new_tokens=4)[0].token_ids == dense.token_ids


def test_refcocog_photographs(fixtures: Path, adapter: Adapter) -> None:
    records = json.loads((fixtures / "refcocog" / "refcocog_records.json").read_text())
    tried = 0
    for record in records:
        if not record["image_in_fixture"]:
            continue
        picture = fixtures / "refcocog" / record["image_in_fixture"]
        width, height = Image.open(picture).size
        if "bbox_xywh" in record:
            x, y, w, h = record["bbox_xywh"]
            box = (x / width, y / height, (x + w) / width, (y + h) / height)
        else:
            box = tuple(record["bbox_xyxy_norm"])
        sentence = (record["sentences"] or ["the thing in the box"])[0]
        check(adapter, [picture], sentence, Region(0, box))
        tried += 1
    assert tried


def test_mmdocir_pages(fixtures: Path, adapter: Adapter, tmp_path: Path) -> None:
    name = "2023.acl-long.386"
    pictures = [fixtures / "mmdocir" / "pages" / f"{name}_page{page}.jpg" for page in (1, 3)]
    lines = (fixtures / "mmdocir" / "MMDocIR_annotations_slice.jsonl").read_text().splitlines()
    document = next(doc for doc in map(json.loads, lines) if doc["doc_name"] == f"{name}.pdf")
    question = next(q for q in document["questions"] if q["page_id"] == [3])
    layout = question["layout_mapping"][0]
    width, height = layout["page_size"]
    x0, y0, x1, y1 = layout["bbox"]
    small = []
    for picture in pictures:
        # pages are thousands of pixels high: half of it keeps the prompt within what a test may take
        page = Image.open(picture)
        small.append(tmp_path / f"{picture.stem}.png")
        page.resize((page.width // 2, page.height // 2)).save(small[-1])
    check(adapter, small, question["Q"], Region(1, (x0 / width, y0 / height, x1 / width, y1 / height)))
