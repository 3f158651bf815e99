"""VidSTG as a task: the segment's frames with their times; a span and boxes are answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.reading.documents import Doc, Messages, labelled, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.boxes import scaled
from coreheads.tasks.scoring.families import wording, written
from coreheads.tasks.vidstg import data
from coreheads.tasks.vidstg.data import expected, media
from coreheads.tasks.vidstg.scoring import at_times, read_tube, score_tube

__all__ = ["expected", "media"]

PROMPT = (
    "These are frames of a video, each with its time. {sentence} Say when the event begins and ends, in seconds, and "
    "where the {what} is at several times in between. Answer with JSON only: "
    '{{"start": ..., "end": ..., "boxes": [{{"time": ..., "bbox_2d": [x1, y1, x2, y2]}}, ...]}}, with boxes in '
    "{coordinates}."
)

SENTENCES = {
    "declarative": 'Find the moment that this sentence describes, and its subject: "{description}".',
    "interrogative": 'Find the moment that this question is about, and what it asks for: "{description}".',
}

WHAT = {"declarative": "subject of the sentence", "interrogative": "thing asked for"}

METRICS = {"m_viou": "viou", "m_tiou": "tiou", "viou_0.3": "viou_0.3", "viou_0.5": "viou_0.5"}
"""The task's names of what ``score_tube`` returns."""


def variant(options: Mapping[str, Any]) -> str:
    """How times and boxes are read (changed when the readers are), and where the score is not the script's."""
    return "tubes-2, vIoU over the whole union (official_m_viou: as TubeDETR's script)"


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    form = options["form"]
    added = {"frames": options["frames"], "side": options["side"]}
    docs = [doc | added for doc in data.records(source, split)]
    return [doc for doc in docs if form is None or doc.get("form", form) == form]


def messages(doc: Doc) -> Messages:
    data.tube(doc)  # what cannot be scored need not be asked
    shown = data.shown_frames(doc, doc["frames"])
    labels = [f"{data.seconds(doc, frame):.2f} s" for frame in shown]
    pictures = data.pictures(doc, doc["frames"], doc["side"])
    sentence = SENTENCES[doc["form"]].format(description=doc["description"])
    prompt = PROMPT.format(sentence=sentence, what=WHAT[doc["form"]], coordinates=wording(doc["family"]))
    return user_turn(*labelled(dict(zip(labels, pictures, strict=True))), text(prompt))


def query(doc: Doc) -> str:
    return str(doc["description"])


def regions(doc: Doc) -> list[Region]:
    """The target's box in every shown frame of its span; each frame is one picture of the prompt."""
    boxes = data.tube(doc)
    return [
        Region(media=index, box=data.box_of(doc, boxes[frame]))
        for index, frame in enumerate(data.shown_frames(doc, doc["frames"]))
        if frame in boxes
    ]


def target(doc: Doc) -> str:
    """The true span, and the true box at every scored frame."""
    boxes = data.tube(doc)
    scored = [frame for frame in data.scored_frames(doc) if frame in boxes]
    entries = []
    for frame in scored:
        x0, y0, x1, y1 = boxes[frame]
        part = (x0 / doc["width"], y0 / doc["height"], x1 / doc["width"], y1 / doc["height"])
        entries.append({"time": round(data.seconds(doc, frame), 2), "bbox_2d": written(part, doc["family"])})
    start, end = (round(data.seconds(doc, frame), 3) for frame in doc["span"])
    return json.dumps({"start": start, "end": end, "boxes": entries})


def scores(doc: Doc, response: str) -> dict[str, float]:
    """By ``score_tube``; the names that end in the sentence's form are means over that form alone.

    ``official_m_viou`` is what TubeDETR's script makes of it, which cuts the spans' union at the earlier end.
    """
    said = read_tube(response, doc["family"])
    scored = data.scored_frames(doc)
    span, boxes = (0.0, 0.0), {}
    if said is not None:
        first, fps = doc["segment"][0], doc["fps"]
        span = (first + said[0][0] * fps, first + said[0][1] * fps)
        if said[1]:
            shown = at_times(said[1], [data.seconds(doc, frame) for frame in scored])
            boxes = {f: scaled(box, doc["width"], doc["height"]) for f, box in zip(scored, shown, strict=True)}
    result = score_tube(doc["span"], data.tube(doc), span, boxes, scored)
    values = {name: result[key] for name, key in METRICS.items()}
    apart = {f"{name}_{doc['form']}": value for name, value in values.items()}
    cut = [frame for frame in scored if frame < min(doc["span"][1], span[1])]
    official = {"official_m_viou": score_tube(doc["span"], data.tube(doc), span, boxes, cut)["viou"]}
    return {**values, **apart, **official, "unparsed": float(said is None)}
