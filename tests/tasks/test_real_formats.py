"""Mini files have the real sets' fields and types, and the readers read the real records alike."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from coreheads.errors import BadSample
from coreheads.regions import Region
from coreheads.tasks import registry
from coreheads.tasks.mlvu import data as mlvu_data
from coreheads.tasks.mmdocir import data as mmdocir_data
from coreheads.tasks.mmlongbench_doc import data as mmlongbench_data
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.vidstg import data as vidstg_data


def shape(value: Any) -> Any:
    """Fields and types, all the way down; a list by the shapes in it; whole and broken numbers are one type."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        return [item for index, item in enumerate(shapes) if item not in shapes[:index]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_refcocog_is_the_huggingface_parquet(small: Path) -> None:
    from datasets import Features, Image, List, Value, load_dataset

    files = str(small / "refcocog/data/test-00000-of-00001.parquet")
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(small.parent / "datasets"))
    assert loaded.features == Features(
        {
            "question_id": Value("string"),
            "image": Image(),
            "question": Value("string"),
            "answer": List(Value("string")),
            "segmentation": List(Value("float32")),
            "bbox": List(Value("float32")),
            "iscrowd": Value("int8"),
            "file_name": Value("string"),
        }
    )
    for row in loaded:
        x, y, width, height = row["bbox"]
        assert 0 <= x < x + width <= row["image"].width
        assert 0 <= y < y + height <= row["image"].height
        assert row["segmentation"][:4] == [x, y, x + width, y]
        assert row["answer"]


def test_vidstg_records(small: Path, fixtures: Path) -> None:
    mini = json.loads((small / "vidstg/annotations/test_annotations.json").read_text())
    real = json.loads((fixtures / "vidstg/test_annotations_slice.json").read_text())
    whole = next(record for record in real if record["questions"])
    assert shape(mini[0]) == shape(whole)
    for record in mini:
        first, end = record["temporal_gt"]["begin_fid"], record["temporal_gt"]["end_fid"]
        assert 0 <= first < end <= record["used_segment"]["end_fid"] + 1 <= record["frame_count"]
        assert record["temporal_gt"] == {key: record["used_relation"][key] for key in ("begin_fid", "end_fid")}
        assert record["captions"][0]["target_id"] == record["used_relation"]["subject_tid"]


def test_vidor_trajectories(small: Path, fixtures: Path) -> None:
    real = json.loads((fixtures / "vidstg/vidor_annotation/2793806282.json").read_text())
    for path in sorted((small / "vidstg/vidor/annotation/validation").rglob("*.json")):
        mini = json.loads(path.read_text())
        assert set(mini) == set(real)
        assert shape(mini["trajectories"][0][0]) == shape(real["trajectories"][0][0])
        assert shape(mini["relation_instances"]) == shape(real["relation_instances"])
        assert len(mini["trajectories"]) == mini["frame_count"]
        boxes = [thing["bbox"] for frame in mini["trajectories"] for thing in frame]
        assert all(0 <= box["xmin"] < box["xmax"] < mini["width"] for box in boxes)
        assert all(0 <= box["ymin"] < box["ymax"] < mini["height"] for box in boxes)


def test_mmdocir_documents(small: Path, fixtures: Path) -> None:
    import pyarrow.parquet as parquet

    root = small / "mmdocir/test"
    mini = read_lines(root / "MMDocIR_annotations.jsonl")
    real = read_lines(fixtures / "mmdocir/MMDocIR_annotations_slice.jsonl")
    assert shape(mini[0]) == shape(real[0])
    pages = parquet.read_table(root / "MMDocIR_pages.parquet").to_pylist()
    assert list(pages[0]) == ["doc_name", "domain", "passage_id", "image_path", "image_binary", "ocr_text", "vlm_text"]
    layouts = parquet.read_table(root / "MMDocIR_layouts.parquet").to_pylist()
    for document in mini:
        for key, rows in (("page_indices", pages), ("layout_indices", layouts)):
            first, last = document[key]
            assert {row["doc_name"] for row in rows[first : last + 1]} == {document["doc_name"]}
            assert last + 1 == len(rows) or rows[last + 1]["doc_name"] != document["doc_name"]
        for question in document["questions"]:
            assert [layout["page"] for layout in question["layout_mapping"]] == question["page_id"]


def test_mmlongbench_doc_samples(small: Path, fixtures: Path) -> None:
    import pypdfium2 as pdfium

    folder = small / "mmlongbench_doc/test/data"
    mini = json.loads((folder / "samples.json").read_text())
    real = json.loads((fixtures / "mmlongbench_doc/samples_slice.json").read_text())
    for sample in mini:
        assert shape(sample) == shape(real[0])
        assert sample["answer_format"] in {record["answer_format"] for record in real}
        document = pdfium.PdfDocument(folder / "documents" / sample["doc_id"])
        assert len(document) == 17
        (page,) = ast.literal_eval(sample["evidence_pages"])
        assert 1 <= page <= 17
        document.close()


def test_mlvu_records(small: Path, fixtures: Path) -> None:
    mini = json.loads((small / "mlvu/test/json/2_needle.json").read_text())
    real = json.loads((fixtures / "mlvu/2_needle.json").read_text())
    assert all(shape(record) == shape(real[0]) for record in mini)
    assert {record["question_type"] for record in mini} == {record["question_type"] for record in real}


# ---- the readers on real records


def test_real_vidstg(fixtures: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    shutil.copy(fixtures / "vidstg/test_annotations_slice.json", tmp_path / "annotations/test_annotations.json")
    boxes = tmp_path / "vidor/annotation/validation/0001"
    boxes.mkdir(parents=True)
    for path in (fixtures / "vidstg/vidor_annotation").glob("*.json"):
        shutil.copy(path, boxes)
    docs = vidstg_data.records(Source(str(tmp_path)), "test")
    records = json.loads((tmp_path / "annotations/test_annotations.json").read_text())
    assert len(docs) == sum(len(record["captions"]) + len(record["questions"]) for record in records)
    assert len({doc["record_id"] for doc in docs}) == len(docs)
    known = [doc for doc in docs if doc["vid"] in ("2793806282", "11566930393")]
    assert known
    for doc in known:
        tube = vidstg_data.tube(doc)
        assert sorted(tube) == list(range(*doc["span"]))
        assert doc["segment"][0] <= doc["span"][0] < doc["span"][1] <= doc["segment"][1]
        regions = vidstg_data.regions(doc)
        assert regions[0].start == pytest.approx(doc["span"][0] / doc["fps"])
        assert regions[-1].end == pytest.approx(doc["span"][1] / doc["fps"])
        for region in regions:
            region.check(1)
            assert region.box is not None
            assert max(region.box) <= 1.0


def test_real_mmdocir(fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(fixtures / "mmdocir/MMDocIR_annotations_slice.jsonl", tmp_path / mmdocir_data.ANNOTATIONS)
    docs = mmdocir_data.records(Source(str(tmp_path)), "all", {})
    assert len(docs) == 48
    assert docs[0]["rows"] == [18196, 18219]
    (region,) = mmdocir_data.layout_regions(docs[0]["layouts"])
    assert region == Region(media=4, box=(366 / 612, 229 / 792, 514 / 612, 383 / 792))


def test_real_mmlongbench_doc(fixtures: Path, tmp_path: Path) -> None:
    """Pages from 1 become pages from 0; MMDocIR's box is taken for the question that both sets have."""
    (tmp_path / "data").mkdir()
    shutil.copy(fixtures / "mmlongbench_doc/samples_slice.json", tmp_path / "data/samples.json")
    shutil.copytree(fixtures / "mmlongbench_doc/documents", tmp_path / "data/documents")
    docs = mmlongbench_data.records(Source(str(tmp_path)), "all", {})
    assert len(docs) == 50
    assert docs[0]["pages"] == [4]
    with pytest.raises(BadSample, match=r"PH_2016.*not there"):
        mmlongbench_data.pages(docs[0])
    paper = [doc for doc in docs if doc["document"] == "2023.acl-long.386.pdf"]
    assert len(mmlongbench_data.pages(paper[0] | {"dpi": 72})) == 24
    assert len(mmlongbench_data.pages(paper[0] | {"dpi": 72, "max_pages": 3})) == 3
    evidence = [doc for doc in paper if doc["pages"]]
    assert evidence
    for doc in evidence:
        assert mmlongbench_data.regions(doc) == [Region(media=page) for page in doc["pages"]]
        assert mmlongbench_data.regions(doc | {"max_pages": 1}) == [
            Region(media=page) for page in doc["pages"] if page < 1
        ]
    shutil.copy(fixtures / "mmdocir/MMDocIR_annotations_slice.jsonl", tmp_path / mmdocir_data.ANNOTATIONS)
    mmlongbench_data._layouts_in.cache_clear()
    boxed = [doc for doc in evidence if all(region.box for region in mmlongbench_data.regions(doc))]
    assert boxed
    for doc in boxed:
        assert {region.media for region in mmlongbench_data.regions(doc)} == set(doc["pages"])


def test_real_evidence_out_of_range(fixtures: Path, tmp_path: Path) -> None:
    """Published page numbers that the document does not have: no region there, and the question is still asked."""
    records = json.loads((fixtures / "mmlongbench_doc/samples_slice.json").read_text())
    wild = [record for record in records if record["evidence_pages"] in ("[115, 116]", "[288]")]
    wild = [record | {"doc_id": "2023.acl-long.386.pdf"} for record in wild]
    (tmp_path / "mmlongbench_doc/data").mkdir(parents=True)
    (tmp_path / "mmlongbench_doc/data/samples.json").write_text(json.dumps(wild))
    shutil.copytree(fixtures / "mmlongbench_doc/documents", tmp_path / "mmlongbench_doc/data/documents")
    task = registry.get("coreheads_mmlongbench_doc")
    docs = task.records("all", data_root=tmp_path, options={"dpi": 36})
    assert sorted(task.problems(doc)[0] for doc in docs) == [
        "evidence_pages has [115, 116] of 24 pages",
        "evidence_pages has [288] of 24 pages",
    ]
    for doc in docs:
        assert task.regions(doc) == []
        assert len([part for part in task.messages(doc)[0]["content"] if part["type"] == "image"]) == 24
        assert task.doc_scores(doc, f"Answer: {doc['answer']}")["accuracy"] == 1.0


def test_real_mlvu(fixtures: Path, tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    for path in (fixtures / "mlvu").glob("*.json"):
        shutil.copy(path, tmp_path / "json")
    docs = mlvu_data.records(Source(str(tmp_path)), "dev", {})
    bad = [doc for doc in docs if "bad" in doc]
    assert len(bad) == 2  # published so: an answer that is none of the candidates
    assert all("expected one of the candidates" in doc["bad"] for doc in bad)
    good = [doc for doc in docs if "bad" not in doc]
    assert {doc["question_type"] for doc in good} >= {"findNeedle", "plotQA", "count", "order"}
    assert {len(doc["candidates"]) for doc in good} == {4}
    assert all(doc["candidates"][doc["right"]] == doc["answer"] for doc in good)
    assert all(mlvu_data.regions(doc) == [] for doc in good)
