"""RefCOCOg as a task: one expression, one box."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coreheads.errors import UserError
from coreheads.tasks.reading.documents import Doc, Messages, image, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.refcocog import data
from coreheads.tasks.refcocog.data import expected, media, regions
from coreheads.tasks.refcocog.scoring import score
from coreheads.tasks.scoring.boxes import fraction_of, read_box
from coreheads.tasks.scoring.families import family_of, wording, written

__all__ = ["expected", "media", "regions"]

PROMPTS = {
    "qwen": 'Find what this expression describes: "{expression}". Give its bounding box as JSON: '
    '[{{"bbox_2d": [x1, y1, x2, y2], "label": "..."}}], in {coordinates}.',
    "internvl": "Which region of the image is described by <ref>{expression}</ref>? "
    "Give its bounding box as [[x1, y1, x2, y2]], in {coordinates}.",
    "llava": "Which region of the image does this expression describe: {expression}? "
    "Give its bounding box as [x1, y1, x2, y2], in {coordinates}.",
}
"""Our own wording, in the form of answer that each family was trained to give."""


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    template = options["prompt"]
    if template is not None and "{expression}" not in template:
        raise UserError(f"options.prompt: {template!r}, expected a text with {{expression}} in it")
    return [doc | {"template": template} for doc in data.records(source, split)]


def prompt(doc: Doc) -> str:
    """The question about one expression, by the user's own ``template`` where there is one."""
    if doc["template"] is not None:
        return str(doc["template"]).replace("{expression}", doc["expression"])
    coordinates = wording(doc["family"])
    return PROMPTS[family_of(doc["family"])].format(expression=doc["expression"], coordinates=coordinates)


def messages(doc: Doc) -> Messages:
    return user_turn(image(data.picture(doc)), text(prompt(doc)))


def query(doc: Doc) -> str:
    return str(doc["expression"])


def target(doc: Doc) -> str:
    box = written(fraction_of(doc["box"], *data.size(doc)), doc["family"])
    family = family_of(doc["family"])
    if family == "qwen":
        return json.dumps([{"bbox_2d": box, "label": doc["expression"]}])
    return json.dumps([box] if family == "internvl" else box)


def scores(doc: Doc, response: str) -> dict[str, float]:
    scored = score(response, doc["box"], data.size(doc), doc["family"])
    unparsed = read_box(response, doc["family"]) is None
    return {"acc_0.5": scored["acc_0.5"], "iou": scored["iou"], "unparsed": float(unparsed)}
