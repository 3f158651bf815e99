"""Conversions on real records: boxes of RefCOCOg, gold pages of MMLongBench, a real video's frames."""

from __future__ import annotations

import io
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import trees

from coreheads.regions import Region
from coreheads.tasks import registry
from coreheads.tasks.mmlongbench import data as mmlongbench_data
from coreheads.tasks.mmlongbench.scoring import score
from coreheads.tasks.vidstg import data as vidstg_data


def test_real_refcocog_boxes(fixtures: Path, tmp_path: Path) -> None:
    """Corner, width and height in pixels become the box that another evaluation suite has for the same region."""
    from PIL import Image

    rows, expected = [], []
    for number, record in enumerate(json.loads((fixtures / "refcocog/refcocog_records.json").read_text())):
        if "bbox_xywh" not in record or not record["sentences"]:
            continue
        if record["image_in_fixture"]:
            picture = (fixtures / "refcocog" / record["image_in_fixture"]).read_bytes()
            x0, y0, x1, y1 = record["bbox_xyxy"]
            box = (x0 / record["width"], y0 / record["height"], x1 / record["width"], y1 / record["height"])
        else:
            buffer = io.BytesIO()
            Image.new("RGB", (record["width"], record["height"])).save(buffer, "PNG")
            picture, box = buffer.getvalue(), tuple(record["vlmevalkit_bbox_xyxy_norm"])
        row = trees.region(number, 1, record["bbox_xywh"], record["sentences"])
        name = record.get("file_name_in_refs") or record["coco_file_name"]
        rows.append(row | {"image": {"bytes": picture, "path": None}, "file_name": name})
        expected += [(sentence, record["coco_file_name"], box) for sentence in record["sentences"]]
    trees.parquet(tmp_path / "refcocog/data/test-00000-of-00001.parquet", rows)
    task = registry.get("coreheads_refcocog")
    docs = {doc["expression"]: doc for doc in task.records("test", data_root=tmp_path, family="qwen3_vl")}
    assert len(expected) == len(docs) == 3
    for sentence, name, box in expected:
        doc = docs[sentence]
        assert doc["group"] == name
        (region,) = task.regions(doc)
        assert region.box == pytest.approx(box, abs=1e-5)
        assert task.doc_scores(doc, task.target(doc))["iou"] > 0.99


def test_real_mmlongbench_pages(fixtures: Path) -> None:
    """Records as a third party quotes them: the page of that name is gold, wherever it stands in the list."""
    lines = (fixtures / "mmlongbench/documentqa_records_thirdparty.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [mmlongbench_data.gold_pages(record) for record in records] == [[1], [2], [1]]
    for record in records:
        assert score(f"Answer: {record['answer']}", record["answer"], "docqa", record["answer_format"]) == 1.0


def test_a_real_videos_frames(fixtures: Path, tmp_path: Path) -> None:
    """Frames by native index, of the segment alone: the same as the decoder gives for these indices."""
    import numpy as np

    from coreheads.media.video import open_clip

    base = tmp_path / "vidstg"
    (base / "annotations").mkdir(parents=True)
    shutil.copy(fixtures / "vidstg/val_annotations_slice.json", base / "annotations/val_annotations.json")
    (base / "vidor/video/0001").mkdir(parents=True)
    shutil.copy(fixtures / "vidstg/video/8670554760.mp4", base / "vidor/video/0001")
    task = registry.get("coreheads_vidstg")
    docs = task.records("val", data_root=tmp_path, options={"frames": 8}, family="qwen3_vl")
    docs = [doc for doc in docs if doc["vid"] == "8670554760"]
    assert len(docs) == 10
    clip = open_clip(base / "vidor/video/0001/8670554760.mp4")
    for doc in {tuple(doc["segment"]): doc for doc in docs}.values():
        shown = vidstg_data.shown_frames(doc, 8)
        first, end = doc["segment"]
        assert first == shown[0]
        assert shown[-1] < end - 1  # TubeDETR's clip ends before the segment's last frame
        pictures = vidstg_data.pictures(doc, 8, 640)
        assert np.array_equal(np.stack([np.asarray(picture) for picture in pictures]), clip.read(shown))
        # at 29.97 frames a second, 5 scored: every sixth frame, now and then the fifth
        steps = {later - before for before, later in pairwise(vidstg_data.scored_frames(doc))}
        assert steps <= {1, 2, 3, 4, 5, 6}
        assert 6 in steps
    half = next(doc for doc in docs if doc["segment"] == [132, 332])
    assert vidstg_data.seconds(half, 132) == 0.0
    assert vidstg_data.seconds(half, half["span"][0]) == pytest.approx(56 / 29.97, abs=1e-3)


def test_a_real_tube_in_the_shown_frames(fixtures: Path, tmp_path: Path) -> None:
    base = tmp_path / "vidstg"
    (base / "annotations").mkdir(parents=True)
    shutil.copy(fixtures / "vidstg/test_annotations_slice.json", base / "annotations/test_annotations.json")
    boxes = base / "vidor/annotation/validation/0001"
    boxes.mkdir(parents=True)
    for path in (fixtures / "vidstg/vidor_annotation").glob("*.json"):
        shutil.copy(path, boxes)
    task = registry.get("coreheads_vidstg")
    docs = task.records("test", data_root=tmp_path, family="qwen3_vl")
    known = [doc for doc in docs if doc["vid"] in ("2793806282", "11566930393")]
    assert len(known) == 11
    for doc in known:
        shown = vidstg_data.shown_frames(doc, doc["frames"])
        inside = [place for place, frame in enumerate(shown) if doc["span"][0] <= frame < doc["span"][1]]
        regions = task.regions(doc)
        assert [region.media for region in regions] == inside
        assert all(isinstance(region, Region) and region.start is None for region in regions)
        found = task.doc_scores(doc, task.target(doc))
        assert found["m_tiou"] == pytest.approx(1.0, abs=0.01)
        assert found["m_viou"] > 0.97
