"""The mini task over RefCOCOg's format: where in the image is the named thing?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.boxes import read_box
from coreheads.tasks.documents import Doc, image, text, user_turn
from coreheads.tasks.mini.prompts import FAMILY, name_in
from coreheads.tasks.refcocog import data
from coreheads.tasks.refcocog.scoring import score

SPLIT = {"profile": "val", "test": "test"}


def expected(root: Path, split: str) -> list[tuple[Path, str]]:
    return data.expected(root, SPLIT[split])


def records(root: Path, split: str) -> list[Doc]:
    docs = data.records(root, SPLIT[split])
    return [doc | {"prompt": f"where is the {doc['expression']}?", "query": name_in(doc["expression"])} for doc in docs]


def messages(doc: Doc) -> list[dict[str, Any]]:
    return user_turn(image(data.picture(doc)), text(doc["prompt"]))


def regions(doc: Doc) -> list[Region]:
    return data.regions(doc)


def target(doc: Doc) -> str:
    """The true box as the model would write it."""
    width, height = data.size(doc)
    x0, y0, x1, y1 = doc["box"]
    left, top, right, bottom = (
        int(edge * 1000 / side + 0.5) for edge, side in ((x0, width), (y0, height), (x1, width), (y1, height))
    )
    return f"({left}, {top}) ({right}, {bottom})"


def scores(doc: Doc, response: str) -> dict[str, float]:
    found = score(response, doc["box"], data.size(doc), FAMILY)
    return {"acc_0.5": found["acc_0.5"], "iou": found["iou"], "unparsed": float(read_box(response, FAMILY) is None)}
