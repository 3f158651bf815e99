"""Fields of wrong types, empty and missing ones: the sample is unscored, with one line that names it; others go on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trees
from damage import Damage, parquet
from trees import FAMILY, whole

from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading.documents import fields_of

ROWS, PAGES = "refcocog/data/test-00000-of-00001.parquet", "mmdocir/MMDocIR_pages.parquet"


def first(pattern: str, change: Callable[[Any], object]) -> Damage:
    """Change the first record of a JSON or JSON-lines file in place."""

    def damage(root: Path) -> None:
        path = sorted(root.glob(pattern))[0]
        lines = path.suffix == ".jsonl"
        text = path.read_text()
        content = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        change(content[0] if isinstance(content, list) else content)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in content) if lines else json.dumps(content))

    return damage


def put(pattern: str, **fields: Any) -> Damage:
    return first(pattern, lambda record: record.update(fields))


def vidstg(**fields: Any) -> Damage:
    return put("vidstg/annotations/test*", **fields)


def sentence(**fields: Any) -> Damage:
    return first("vidstg/annotations/test*", lambda record: record["captions"][0].update(fields))


def segment(name: str, **fields: Any) -> Damage:
    return first("vidstg/annotations/test*", lambda record: record[name].update(fields))


def question(**fields: Any) -> Damage:
    return first("mmdocir/*.jsonl", lambda document: document["questions"][0].update(fields))


def box(**fields: Any) -> Damage:
    return first("mmdocir/*.jsonl", lambda document: document["questions"][0]["layout_mapping"][0].update(fields))


def region(**fields: Any) -> Damage:
    return lambda root: parquet(root, ROWS, lambda rows: rows[0].update(fields))


def vidor(root: Path) -> None:
    def change(video: Any) -> None:
        for frame in video["trajectories"]:
            frame[0]["bbox"]["xmin"] = "8"

    first("vidstg/vidor/annotation/validation/0001/*", change)(root)


def folder(path: str) -> Damage:
    def damage(root: Path) -> None:
        (root / path).unlink()
        (root / path).mkdir()

    return damage


def answers(change: Callable[[list[Any]], object]) -> Damage:
    def damage(root: Path) -> None:
        path = root / "mlvu_test/test-ground-truth/test_mcq_gt.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


LONG, DOCS, MLVU = "mmlongbench/mmlb_data", "mmlongbench_doc/data/samples.json", "mlvu_dev/MLVU/json/2*"
TEST = "mlvu_test/test_multi_choice_tasks.json"

ODD: list[tuple[str, Damage, int, str]] = [
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", image=""), 1, "infoseek.*line 1: names a picture '', expected"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", image=None), 1, "names a picture None, expected a path"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", image="vrag"), 1, "mmlb_image/vrag: is a folder, expected a pict"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", image="x" * 300), 1, "cannot be opened|not there"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", question=None), 1, "question is None, expected a text"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", answer=["Ann", ""]), 1, "answer is '', expected a text"),
    ("mmlongbench_8k", put(f"{LONG}/vrag/infoseek*", answer=[]), 1, "answer is .*expected a text"),
    ("mmlongbench_8k", put(f"{LONG}/documentQA/slide*", answer=None), 1, "answer is None, expected a text"),
    ("mmlongbench_8k", put(f"{LONG}/documentQA/slide*", answer=" "), 1, "answer is ' ', expected a text"),
    ("mmlongbench_8k", put(f"{LONG}/NIAH/retrieval*", answer=2), 1, "answer is 2, expected the index of one of 2 cho"),
    ("mmlongbench_8k", put(f"{LONG}/NIAH/retrieval*", answer=-1), 1, "answer is -1, expected the index"),
    ("mmlongbench_8k", put(f"{LONG}/NIAH/counting*", answer=[True]), 1, "expected a list of whole numbers"),
    ("mmlongbench_doc", put(DOCS, doc_id=""), 1, "record 0: doc_id is '', expected a text"),
    ("mmlongbench_doc", put(DOCS, question=None), 1, "record 0: question is None, expected a text"),
    ("mmlongbench_doc", put(DOCS, answer=None), 1, "record 0: answer is None, expected a text or a number"),
    ("mmlongbench_doc", put(DOCS, answer=True), 1, "record 0: answer is True, expected a text or a number"),
    ("mmlongbench_doc", put(DOCS, answer=["a", False]), 1, "record 0: answer is False, expected a text or a number"),
    ("mmlongbench_doc", put(DOCS, evidence_pages=[True]), 1, r"evidence_pages is \[True\], expected a list of page"),
    ("mmlongbench_doc", put(DOCS, evidence_pages="[1, True]"), 1, "evidence_pages is .*, expected a list of page"),
    ("mmlongbench_doc", folder("mmlongbench_doc/data/documents/b.pdf"), 2, "b.pdf: is a folder, expected a PDF"),
    ("mmdocir_page", box(page_size=[0, 0]), 1, r"line 1: question 0: page_size is \[0, 0\], expected a width and"),
    ("mmdocir_page", box(bbox=["1", "2", "3", "4"]), 1, r"question 0: bbox is \['1', '2', '3', '4'\], expected 4 n"),
    ("mmdocir_layout", box(bbox=[1, 2, 3]), 2, r"question 0: bbox is \[1, 2, 3\], expected 4 numbers"),
    ("mmdocir_layout", box(page="1"), 2, "question 0: page is '1', expected a whole number"),
    ("mmdocir_page", question(Q=None), 1, "question 0: Q is None, expected a text"),
    ("mmdocir_page", question(layout_mapping=None), 1, "layout_mapping is None, expected a list"),
    ("mmdocir_page", put("mmdocir/*.jsonl", questions=None), 1, "line 1: questions is None, expected a list"),
    ("mmdocir_page", question(page_id=[True]), 1, r"page_id is \[True\], expected pages 0 to"),
    ("mmdocir_page", put("mmdocir/*.jsonl", page_indices=[False, True]), 3, "page_indices is .*expected 2 numbers"),
    ("mmdocir_page", put("mmdocir/*.jsonl", page_indices=["0", "3"]), 3, "page_indices is .*expected 2 numbers"),
    ("vidstg", vidstg(fps=0), 2, "record 0: fps is 0, expected a number above 0"),
    ("vidstg", vidstg(fps="10"), 2, "record 0: fps is '10', expected a number above 0"),
    ("vidstg", vidstg(width=0), 2, "record 0: width is 0, expected a number above 0"),
    ("vidstg", vidstg(captions=None), 1, "record 0: captions is None, expected a list"),
    ("vidstg", segment("temporal_gt", begin_fid=10.0), 2, "record 0: begin_fid is 10.0, expected a whole number"),
    ("vidstg", segment("used_segment", end_fid=34.5), 2, "record 0: end_fid is 34.5, expected a whole number"),
    ("vidstg", sentence(target_id=None), 1, "record 0, sentence 0: target_id is None, expected a whole number"),
    ("vidstg", sentence(description=""), 1, "record 0, sentence 0: description is '', expected a text"),
    ("vidstg", first("vidstg/annotations/test*", lambda record: record["captions"][0].pop("target_id")), 1,
     "record 0, sentence 0: field 'target_id' is missing"),
    ("vidstg", vidor, 2, "2000000001.json: trajectories: bbox in frame 10 is .*, expected numbers"),
    ("refcocog", region(bbox=[1.0]), 2, r"row 0: bbox is \[1.0\], expected 4 numbers"),
    ("refcocog", region(answer=["a cup", None]), 1, "row 0: answer 1 is None, expected an expression"),
    ("refcocog", region(answer=["", "a cup"]), 1, "row 0: answer 0 is '', expected an expression"),
    ("refcocog", region(answer=None), 1, "row 0: answer is None, expected a list"),
    ("mlvu_dev", put(MLVU, question=""), 2, "2_needle.json: record 0: question is '', expected a text"),
    ("mlvu_dev", put(MLVU, candidates="red or blue"), 2, "candidates is 'red or blue', expected a list"),
    ("mlvu_dev", put(MLVU, candidates=["None", "red"], answer=None), 2, "answer is None, expected a text"),
    ("mlvu_dev", first(MLVU, lambda record: record.pop("candidates")), 1, ""),
    ("mlvu_dev", first("mlvu_dev/MLVU/json/1*", lambda record: record.pop("candidates")), 2,
     "1_plotQA.json: record 0: field 'candidates' is missing"),
    ("mlvu_test", answers(lambda entries: entries.insert(0, "AR_0")), 0, ""),
    ("mlvu_test", answers(lambda entries: entries.__setitem__(0, "F")), 1, "record 1: field 'answer' is missing"),
    ("mlvu_test", answers(lambda entries: entries[0].update(question_id=["PQA_0"])), 1, "record 1: field 'answer' is"),
    ("mlvu_test", put(TEST, question_id=["AR_0"]), 1, r"record 0: question_id is \['AR_0'\]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "unscored", "message"), ODD)
def test_an_odd_record_is_unscored(name: str, damage: Damage, unscored: int, message: str, tmp_path: Path) -> None:
    task = registry.get(f"coreheads_{name}")
    trees.WRITERS[task.name](tmp_path)
    before = len(task.records(whole(task.name), data_root=tmp_path, **FAMILY))
    damage(tmp_path)
    reasons, docs = [], task.records(whole(task.name), data_root=tmp_path, **FAMILY)
    usable = unscored + sum(_works(task, doc, reasons) for doc in docs)
    assert usable == len(docs)
    assert before - len(docs) in (0, 1, 2)
    assert len(reasons) == unscored, reasons
    assert any(re.search(message, reason) for reason in reasons) or not reasons, reasons
    assert all(len(reason.splitlines()) == 1 and " at 0x" not in reason for reason in reasons)


def _works(task: registry.Task, doc: dict[str, Any], reasons: list[str]) -> bool:
    try:
        task.messages(doc)
        task.regions(doc)
        task.problems(doc)
        task.doc_scores(doc, "")
    except BadSample as error:
        reasons.append(str(error))
        return False
    return True


def test_a_text_in_place_of_expressions_is_one_bad_record(tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    parquet(tmp_path, ROWS, lambda rows: [row.update(answer="a cup") for row in rows])
    with pytest.raises(UserError, match=r"none of 3 records can be used: .*answer is 'a cup', expected a list"):
        registry.get("coreheads_refcocog").records("test", data_root=tmp_path, **FAMILY)


def test_a_picture_that_is_text_is_no_picture(tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    parquet(tmp_path, ROWS, lambda rows: [row.update(image="cup.jpg") for row in rows])
    task = registry.get("coreheads_refcocog")
    for doc in task.records("test", data_root=tmp_path, **FAMILY):
        with pytest.raises(BadSample, match=r"row \d has no image, expected a picture's bytes"):
            task.messages(doc)


@pytest.mark.parametrize(("name", "file", "column"), [("refcocog", ROWS, "image"), ("mmdocir_page", PAGES, "image_bi")])
def test_a_table_without_its_pictures_stops(name: str, file: str, column: str, tmp_path: Path) -> None:
    task = registry.get(f"coreheads_{name}")
    trees.WRITERS[task.name](tmp_path)
    parquet(
        tmp_path, file, lambda rows: [[row.pop(key) for key in list(row) if key.startswith(column)] for row in rows]
    )
    with pytest.raises(UserError, match=f"{Path(file).name}: has no column {column}.*, expected .*; it has") as caught:
        task.messages(task.records(whole(task.name), data_root=tmp_path, **FAMILY)[0])
    assert not isinstance(caught.value, BadSample)


def test_reasons_hold_no_addresses(tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    parquet(tmp_path, ROWS, lambda rows: rows[0].update(image={"bytes": b"none", "path": None}))
    task = registry.get("coreheads_refcocog")
    with pytest.raises(BadSample, match="row 0: cannot be read as a picture") as caught:
        task.messages(task.records("test", data_root=tmp_path, **FAMILY)[0])
    assert "0x" not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("division by zero"), "a field is not as published .division by zero"),
        (RecursionError("too deep"), "a field is not as published"),
        (PermissionError(13, "Permission denied", "a.jpg"), "a.jpg cannot be read .Permission denied"),
        (ValueError(f"no <{object()!r}\n> here"), "set.json: record 3: no "),
    ],
)
def test_whatever_a_record_does_concerns_it_alone(error: Exception, message: str) -> None:
    with (
        pytest.raises(BadSample, match=f"set.json: record 3: {message}|{message}") as caught,
        fields_of("set.json: record 3"),
    ):
        raise error
    assert " at 0x" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
