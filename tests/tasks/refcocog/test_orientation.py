"""Boxes of COCO are of the stored pixels: whatever an image's EXIF tag, or a TIFF's own, says, all agree."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image
from trees import FAMILY

from coreheads.media.images import open_image
from coreheads.tasks import registry

BOX = [208.0, 16.0, 96.0, 64.0]


def image(orientation: int | None, kind: str) -> bytes:
    """Red in the box."""
    picture = Image.new("RGB", (320, 160), (90, 90, 90))
    picture.paste((255, 0, 0), (208, 16, 304, 80))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    stream = io.BytesIO()
    if kind == "TIFF":
        picture.save(stream, kind, tiffinfo={0x0112: orientation} if orientation is not None else {})
        return stream.getvalue()
    picture.save(stream, "JPEG", quality=95, exif=exif.tobytes() if orientation is not None else b"Exif\0\0rubbish")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_the_region_marks_what_is_shown(orientation: int | None, kind: str, tmp_path: Path) -> None:
    row = trees.region(1, 1, BOX, ["the red box"]) | {"image": {"bytes": image(orientation, kind), "path": None}}
    trees.parquet(tmp_path / "refcocog/data/test-00000-of-00001.parquet", [row])
    task = registry.get("coreheads_refcocog")
    (doc,) = task.records("test", data_root=tmp_path, **FAMILY)
    parts = task.messages(doc)[0]["content"]
    given = next(part["url"] for part in parts if part["type"] == "image")
    shown = open_image(given, "here")
    assert shown.size == given.size == (320, 160)
    red = np.asarray(shown)[..., 0] > 180
    rows, columns = np.nonzero(red & (np.asarray(shown)[..., 1] < 80))
    (region,) = task.regions(doc)
    seen = columns.min() / 320, rows.min() / 160, (columns.max() + 1) / 320, (rows.max() + 1) / 160
    assert region.box == pytest.approx(seen, abs=0.02)
    answer = json.dumps([{"bbox_2d": [round(1000 * float(edge)) for edge in seen]}])
    assert task.doc_scores(doc, answer)["acc_0.5"] == 1.0
