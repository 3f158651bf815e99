"""The mini task over RefCOCOg's format: where in the image is the named thing?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import FAMILY, PUBLISHED, name_in, query
from coreheads.tasks.reading.documents import Doc, Messages, image, text, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.refcocog import data, task
from coreheads.tasks.refcocog.data import media, regions
from coreheads.tasks.scoring.boxes import fraction_of
from coreheads.tasks.scoring.families import written

__all__ = ["media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return data.expected(PUBLISHED[split], options)


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    docs = data.records(source, PUBLISHED[split])
    return [doc | {"prompt": f"where is the {doc['expression']}?", "query": name_in(doc["expression"])} for doc in docs]


def messages(doc: Doc) -> Messages:
    return user_turn(image(data.picture(doc)), text(doc["prompt"]))


def target(doc: Doc) -> str:
    """The true box as the model would write it."""
    left, top, right, bottom = written(fraction_of(doc["box"], *data.size(doc)), FAMILY)
    return f"({left}, {top}) ({right}, {bottom})"


def scores(doc: Doc, response: str) -> dict[str, float]:
    return task.scores(doc | {"family": FAMILY}, response)
