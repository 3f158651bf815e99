"""Videos of 8 to 12 seconds, a picture a second, as VidSTG's annotations and VidOR's trajectories and videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from coreheads.files import write_json, write_text
from coreheads.tasks.mini.sizes import candidates, generator
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import CELL, Scene, Thing, make_scene, render
from coreheads.tasks.mini.writers.media import write_mp4

SPLIT = {"profile": ("val", "training"), "test": ("test", "validation")}
FPS = 2
SIDE = 8
SHORTEST, LONGEST = 8, 12
THINGS = 40
RECORDS = 2
"""Records a video; each has a caption about one thing and a question about another of the same second."""


def write(root: Path, split: str, questions: int, advance: Callable[[int], None]) -> None:
    name, vidor = SPLIT[split]
    records: list[dict[str, Any]] = []
    asked = index = 0
    while asked < questions:
        rng = generator("vidstg", split, index)
        pictures = int(rng.integers(SHORTEST, LONGEST + 1))
        scene = make_scene(rng, pictures, SIDE, SIDE, THINGS, stamped=True)
        vid = f"{1 if split == 'profile' else 2}{index:09d}"
        pairs = _pairs(candidates(scene, rng))[: min(RECORDS, -(-(questions - asked) // 2))]
        write_mp4(root / f"vidor/video/0001/{vid}.mp4", list(render(scene.kinds, rng)), FPS, FPS)
        write_text(root / f"vidor/annotation/{vidor}/0001/{vid}.json", _vidor(scene, vid, pairs))
        records += [_record(scene, vid, subject, other) for subject, other in pairs]
        count = min(2 * len(pairs), questions - asked)
        if count % 2:
            records[-1]["questions"] = []  # some real records have none either
        asked += count
        advance(count)
        index += 1
    write_json(root / f"annotations/{name}_annotations.json", records)


def _pairs(things: list[Thing]) -> list[tuple[Thing, Thing]]:
    """Things that share a second, each at most once, one pair a second."""
    seconds: dict[int, list[Thing]] = {}
    for thing in things:
        seconds.setdefault(thing.picture, []).append(thing)
    return [next(pairwise(found)) for found in seconds.values() if len(found) > 1]


def _common(scene: Scene, vid: str) -> dict[str, Any]:
    return {
        "fps": float(FPS),
        "frame_count": scene.pictures * FPS,
        "width": scene.columns * CELL,
        "height": scene.rows * CELL,
        "subject/objects": [
            {"tid": number, "category": NAMES[thing.name]} for number, thing in enumerate(scene.things)
        ],
    }


def _record(scene: Scene, vid: str, subject: Thing, other: Thing) -> dict[str, Any]:
    event = {"begin_fid": subject.picture * FPS, "end_fid": (subject.picture + 1) * FPS}
    one, two = scene.things.index(subject), scene.things.index(other)
    return {
        "vid": vid,
        **_common(scene, vid),
        "used_segment": {"begin_fid": 0, "end_fid": scene.pictures * FPS - 1},
        "used_relation": {"subject_tid": one, "object_tid": two, "predicate": "next_to", **event},
        "temporal_gt": event,
        "captions": [{"description": NAMES[subject.name], "type": "object", "target_id": one}],
        "questions": [
            {"description": f"when and where is the {NAMES[other.name]}?", "type": "object", "target_id": two}
        ],
    }


def _vidor(scene: Scene, vid: str, pairs: list[tuple[Thing, Thing]]) -> str:
    frames = [
        [_box(number, thing) for number, thing in enumerate(scene.things) if thing.picture == second]
        for second in range(scene.pictures)
        for _ in range(FPS)
    ]
    annotation = {
        "version": "VERSION 1.0",
        "video_id": vid,
        "video_path": f"0001/{vid}.mp4",
        **_common(scene, vid),
        "trajectories": frames,
        "relation_instances": [_record(scene, vid, *pair)["used_relation"] for pair in pairs],
    }
    return json.dumps(annotation)


def _box(number: int, thing: Thing) -> dict[str, Any]:
    """As in VidOR the last pixel belongs to the box."""
    x, y, side = thing.pixels
    return {
        "tid": number,
        "bbox": {"xmin": x, "ymin": y, "xmax": x + side - 1, "ymax": y + side - 1},
        "generated": 0,
        "tracker": "none",
    }
