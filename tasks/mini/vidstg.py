"""The mini task over VidSTG's format: when and where in the video is the named thing?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import FAMILY, PUBLISHED, name_in, query
from coreheads.tasks.reading.documents import Doc, Messages, text, user_turn, video
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.boxes import scaled
from coreheads.tasks.scoring.families import written
from coreheads.tasks.vidstg import data
from coreheads.tasks.vidstg.data import media, regions, scored_frames
from coreheads.tasks.vidstg.scoring import read_moment, score_tube
from coreheads.tasks.vidstg.task import METRICS

__all__ = ["media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return data.expected(PUBLISHED[split], options)


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    named = ((doc, name_in(doc["description"])) for doc in data.records(source, PUBLISHED[split]))
    return [doc | {"prompt": f"when and where is the {name}?", "query": name} for doc, name in named]


def messages(doc: Doc) -> Messages:
    first, end = doc["segment"]
    part = (None, None) if [first, end] == [0, doc["frame_count"]] else (first / doc["fps"], end / doc["fps"])
    return user_turn(video(data.video_path(doc), *part), text(doc["prompt"]))


def target(doc: Doc) -> str:
    """The true seconds and box as the model would write them."""
    first, end = (round(frame / doc["fps"]) for frame in doc["span"])
    left, top, right, bottom = written(data.box_of(doc, data.tube(doc)[doc["span"][0]]), FAMILY)
    return f"#{first} #{end} ({left}, {top}) ({right}, {bottom})"


def scores(doc: Doc, response: str) -> dict[str, float]:
    """One box is answered; it counts for every frame of the answered span."""
    moment = read_moment(response, FAMILY)
    frames = scored_frames(doc)
    span, boxes = (0.0, 0.0), {}
    if moment is not None:
        start, end, box = moment
        span = (start * doc["fps"], end * doc["fps"])
        boxes = dict.fromkeys(frames, scaled(box, doc["width"], doc["height"]))
    scored = score_tube(doc["span"], data.tube(doc), span, boxes, frames)
    return {**{name: scored[METRICS[name]] for name in sorted(METRICS)}, "unparsed": float(moment is None)}
