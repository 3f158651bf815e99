"""Documents of 8 to 12 pages, as MMDocIR's annotations and the parquet files of its pages and layouts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coreheads.files import write_text
from coreheads.tasks.mini.sizes import balanced, candidates, generator
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import CELL, Scene, Thing, make_scene, render
from coreheads.tasks.mini.writers.media import Picture, png

SIDE = 8
FEWEST, MOST = 8, 12
THINGS = 40
QUESTIONS = 8
POINTS = 72 / 96
"""Of a PDF point a pixel: the pages count as printed at 96 pixels an inch."""

DOMAIN = "Synthetic"


def write(root: Path, split: str, questions: int, advance: Callable[[int], None]) -> None:
    folder = root / split
    folder.mkdir()
    lines: list[str] = []
    pages: list[dict[str, Any]] = []
    layouts: list[dict[str, Any]] = []
    asked = index = 0
    while asked < questions:
        rng = generator("mmdocir", split, index)
        scene = make_scene(rng, int(rng.integers(FEWEST, MOST + 1)), SIDE, SIDE, THINGS, stamped=True)
        chosen = balanced(candidates(scene, rng), min(QUESTIONS, questions - asked), Counter(), "picture")
        pictures = render(scene.kinds, rng)
        name = f"mini_{split}_{index:03d}.pdf"
        line = {
            "doc_name": name,
            "domain": DOMAIN,
            "page_indices": [len(pages), len(pages) + scene.pictures - 1],
            "layout_indices": [len(layouts), len(layouts) + len(scene.things) - 1],
            "questions": [
                question(scene, thing, f"which page has the {NAMES[thing.name]}?", f"#{thing.picture}", POINTS)
                for thing in chosen
            ],
        }
        lines.append(json.dumps(line) + "\n")
        pages += [_page(name, number, picture) for number, picture in enumerate(pictures)]
        layouts += [_layout(scene, name, thing, len(layouts), pictures) for thing in scene.things]
        asked += len(chosen)
        advance(len(chosen))
        index += 1
    write_text(folder / "MMDocIR_annotations.jsonl", "".join(lines))
    _parquet(folder / "MMDocIR_pages.parquet", pages)
    _parquet(folder / "MMDocIR_layouts.parquet", layouts)


def place(scene: Scene, thing: Thing, points: float) -> dict[str, Any]:
    """An item of layout_mapping: the page from 0, the box in PDF points, origin top left."""
    x, y, side = thing.pixels
    return {
        "page": thing.picture,
        "page_size": [scene.columns * CELL * points, scene.rows * CELL * points],
        "bbox": [x * points, y * points, (x + side) * points, (y + side) * points],
    }


def question(scene: Scene, thing: Thing, words: str, answer: str, points: float) -> dict[str, Any]:
    """A question about a thing, as a document's line holds it; points: of a PDF point a pixel."""
    return {
        "Q": words,
        "A": answer,
        "page_id": [thing.picture],
        "type": "['Figure']",
        "layout_mapping": [place(scene, thing, points)],
    }


def _page(name: str, number: int, picture: Picture) -> dict[str, Any]:
    return {
        "doc_name": name,
        "domain": DOMAIN,
        "passage_id": str(number),
        "image_path": f"page_images/{name}_{number}.png",
        "image_binary": png(picture),
        "ocr_text": "",
        "vlm_text": "",
    }


def _layout(scene: Scene, name: str, thing: Thing, number: int, pictures: Any) -> dict[str, Any]:
    x, y, side = thing.pixels
    spot = place(scene, thing, POINTS)
    return {
        "doc_name": name,
        "domain": DOMAIN,
        "type": "image",
        "layout_id": number,
        "page_id": thing.picture,
        "image_path": f"layout_images/{name}_{number}.png",
        "image_binary": png(pictures[thing.picture, y : y + side, x : x + side]),
        "text": "",
        "ocr_text": "",
        "vlm_text": "",
        "bbox": spot["bbox"],
        "page_size": spot["page_size"],
    }


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=MOST, compression="none")
