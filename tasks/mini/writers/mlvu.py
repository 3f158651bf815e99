"""Videos of 24 to 30 seconds with four options a question, as MLVU's json and video folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coreheads.files import write_json
from coreheads.tasks.mini.sizes import balanced, candidates, generator
from coreheads.tasks.mini.vocabulary import DIGITS, NAMES
from coreheads.tasks.mini.world import MOST_THINGS, Scene, Thing, make_scene, render
from coreheads.tasks.mini.writers.media import write_mp4

TASK, TYPE = "2_needle", "findNeedle"
FPS = 2
SIDE = 8
SHORTEST, LONGEST = 24, 30
QUESTIONS = 8
OPTIONS = 4


def write(root: Path, split: str, questions: int, advance: Callable[[int], None]) -> None:
    folder = root / split
    records: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    digits: Counter[int] = Counter()
    index = 0
    while len(records) < questions:
        rng = generator("mlvu", split, index)
        pictures = int(rng.integers(SHORTEST, LONGEST + 1))
        scene = make_scene(rng, pictures, SIDE, SIDE, MOST_THINGS, stamped=True)
        count = min(QUESTIONS, questions - len(records))
        chosen = balanced(candidates(scene, rng, digit=True), count, digits, "digit")
        name = f"needle_{index}.mp4"
        write_mp4(folder / "video" / TASK / name, list(render(scene.kinds, rng)), FPS, FPS)
        places = [place for _ in range(-(-len(chosen) // OPTIONS)) for place in rng.permutation(OPTIONS)]
        for thing, place in zip(chosen, places, strict=False):
            records.append(_record(scene, thing, name, int(place), rng))
            regions.append(_region(scene, thing, name, records[-1]["question"]))
        advance(len(chosen))
        index += 1
    write_json(folder / "json" / f"{TASK}.json", records)
    write_json(folder / "regions.json", regions)


def _record(scene: Scene, thing: Thing, video: str, place: int, rng: np.random.Generator) -> dict[str, Any]:
    """``place`` is where the right option stands, 0 to 3; the wrong ones are drawn from the other digits."""
    right = str(thing.digit)
    options = [str(digit) for digit in rng.permutation([digit for digit in DIGITS if digit != right])]
    options = options[: OPTIONS - 1]
    options.insert(place, right)
    return {
        "video": video,
        "duration": float(scene.pictures),
        "question": f"what digit is by the {NAMES[thing.name]}?",
        "candidates": options,
        "answer": right,
        "question_type": TYPE,
    }


def _region(scene: Scene, thing: Thing, video: str, question: str) -> dict[str, Any]:
    return {
        "video": video,
        "question": question,
        "start": float(thing.picture),
        "end": float(thing.picture + 1),
        "box": list(scene.box(thing)),
    }
