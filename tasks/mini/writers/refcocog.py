"""Images of 128 and 256 vision tokens with a few things to find in each, as RefCOCOg's parquet file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coreheads.tasks.mini.sizes import candidates, generator
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import Thing, make_scene, render
from coreheads.tasks.mini.writers.media import png

SPLIT = {"profile": "val", "test": "test"}
SHAPES = ((8, 16, 16, 2), (16, 8, 16, 2), (16, 16, 32, 4))
"""(rows, columns, things, questions) of an image, taken in turn."""

ROWS_A_GROUP = 16


def write(root: Path, split: str, questions: int, advance: Callable[[int], None]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet
    from datasets import Features, Image, List, Value

    regions: list[dict[str, Any]] = []
    index = 0
    while len(regions) < questions:
        rng = generator("refcocog", split, index)
        rows, columns, things, most = SHAPES[index % len(SHAPES)]
        scene = make_scene(rng, 1, rows, columns, things, stamped=False)
        asked = candidates(scene, rng)[: min(most, questions - len(regions))]
        picture = png(render(scene.kinds, rng)[0])
        for thing in asked:
            regions.append(_region(thing, picture, len(regions), f"mini_{split}_{index:06d}.png"))
        advance(len(asked))
        index += 1
    features = Features(
        {
            "question_id": Value("string"),
            "image": Image(),
            "question": Value("string"),
            "answer": List(Value("string")),
            "segmentation": List(Value("float32")),
            "bbox": List(Value("float32")),
            "iscrowd": Value("int8"),
            "file_name": Value("string"),
        }
    )
    folder = root / "data"
    folder.mkdir(exist_ok=True)
    table = pyarrow.Table.from_pylist(regions, schema=features.arrow_schema)
    parquet.write_table(
        table, folder / f"{SPLIT[split]}-00000-of-00001.parquet", row_group_size=ROWS_A_GROUP, compression="none"
    )


def _region(thing: Thing, picture: bytes, number: int, file_name: str) -> dict[str, Any]:
    x, y, side = thing.pixels
    name = NAMES[thing.name]
    return {
        "question_id": str(number),
        "image": {"bytes": picture, "path": file_name},
        "question": f"where is the {name}?",
        "answer": [name],
        "segmentation": [x, y, x + side, y, x + side, y + side, x, y + side],
        "bbox": [x, y, side, side],
        "iscrowd": 0,
        "file_name": file_name,
    }
