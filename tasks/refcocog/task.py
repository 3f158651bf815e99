"""RefCOCOg as a task: one expression, one box."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.tasks.reading.documents import Doc, image, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.refcocog import data
from coreheads.tasks.refcocog.prompts import prompt as asked
from coreheads.tasks.refcocog.scoring import score
from coreheads.tasks.scoring.boxes import fraction_of, read_box
from coreheads.tasks.scoring.families import family_of, written


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return data.expected(split)


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    template = options["prompt"]
    if template is not None and "{expression}" not in template:
        raise UserError(f"options.prompt: {template!r}, expected a text with {{expression}} in it")
    return [doc | {"template": template} for doc in data.records(source, split)]


def prompt(doc: Doc) -> str:
    return asked(doc["expression"], doc["family"], doc["template"])


def messages(doc: Doc) -> list[dict[str, Any]]:
    return user_turn(image(data.picture(doc)), text(prompt(doc)))


def query(doc: Doc) -> str:
    return str(doc["expression"])


def regions(doc: Doc) -> list[Region]:
    return data.regions(doc)


def target(doc: Doc) -> str:
    box = written(fraction_of(doc["box"], *data.size(doc)), doc["family"])
    family = family_of(doc["family"])
    if family == "qwen":
        return json.dumps([{"bbox_2d": box, "label": doc["expression"]}])
    return json.dumps([box] if family == "internvl" else box)


def scores(doc: Doc, response: str) -> dict[str, float]:
    found = score(response, doc["box"], data.size(doc), doc["family"])
    unparsed = read_box(response, doc["family"]) is None
    return {"acc_0.5": found["acc_0.5"], "iou": found["iou"], "unparsed": float(unparsed)}
