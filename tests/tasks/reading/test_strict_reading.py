"""Files that are cut short or not UTF-8 stop with one line that names file and line, whatever the set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trees
from trees import FAMILY, whole

from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading.fields import json_file, json_lines

FILES = [
    ("coreheads_vidstg", "vidstg/annotations/test_annotations.json"),
    ("coreheads_mmdocir_page", "mmdocir/MMDocIR_annotations.jsonl"),
    ("coreheads_mmlongbench_doc", "mmlongbench_doc/data/samples.json"),
    ("coreheads_mmlongbench_8k", "mmlongbench/mmlb_data/documentQA/mmlongdoc_K8.jsonl"),
    ("coreheads_mmlongbench_8k", "mmlongbench/mmlb_data/NIAH/counting-image_test_K8_dep3.jsonl"),
    ("coreheads_mlvu_dev", "mlvu_dev/MLVU/json/1_plotQA.json"),
    ("coreheads_mlvu_test", "mlvu_test/test_multi_choice_tasks.json"),
    ("coreheads_mlvu_test", "mlvu_test/test-ground-truth/test_mcq_gt.json"),
]


def refusal(name: str, root: Path) -> str:
    """The one line with which reading a set's records stops."""
    with pytest.raises(UserError) as caught:
        registry.get(name).records(whole(name), data_root=root, **FAMILY)
    assert not isinstance(caught.value, BadSample)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_that_is_cut_short_stops(name: str, file: str, tmp_path: Path) -> None:
    trees.WRITERS[name](tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-9])
    assert re.search(rf"{re.escape(path.name)}: .*not JSON.*|{re.escape(path.name)}: line", refusal(name, tmp_path))
    assert re.search(r"line \d+", refusal(name, tmp_path))


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_that_is_not_utf8_stops(name: str, file: str, tmp_path: Path) -> None:
    trees.WRITERS[name](tmp_path)
    path = tmp_path / file
    data = path.read_bytes()
    path.write_bytes(data.replace(b'": "', b'": "caf\xe9 ', 1))
    assert path.read_bytes() != data
    message = refusal(name, tmp_path)
    assert f"{path.name}: " in message
    assert re.search(r"line 1\b.*0xe9", message)


def test_the_line_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": "\xff"}\n')
    with pytest.raises(UserError, match=r"set.jsonl: line 3 is not UTF-8 \(byte 0xff\)"):
        list(json_lines(path))
    path.write_bytes(b'{"a": 1}\n{"a": ')
    with pytest.raises(UserError, match=r"set.jsonl: line 2 is not JSON \(column 7: "):
        list(json_lines(path))
    path.write_bytes(b'{"a": 1}\n{"a": 2}')  # whole, though without a line end
    assert list(json_lines(path)) == [(1, {"a": 1}), (2, {"a": 2})]
    path.write_bytes(b'[\n1,\n"\xff"]')
    with pytest.raises(UserError, match=r"set.jsonl: is not UTF-8 \(line 3, byte 0xff\)"):
        json_file(path)
    path.write_bytes(b"[\n1,\n")
    with pytest.raises(UserError, match=r"set.jsonl: is not JSON \(line 3, column 1: "):
        json_file(path)
    path.write_bytes(b"[" * 200_000)
    with pytest.raises(UserError, match=r"set.jsonl: is not JSON \(RecursionError\)"):
        json_file(path)
    with pytest.raises(UserError, match=r"is a folder, expected a file"):
        json_file(tmp_path)


@pytest.mark.parametrize("data", [b'{"video_id": "1', b'{"video_id": "\xff"}', b"[]", b'{"trajectories": null}'])
def test_a_broken_file_of_boxes_concerns_its_own_samples(data: bytes, tmp_path: Path) -> None:
    trees.vidstg(tmp_path)
    next((tmp_path / "vidstg/vidor/annotation/validation/0001").glob("*")).write_bytes(data)
    task = registry.get("coreheads_vidstg")
    with pytest.raises(BadSample, match=r"2000000001.json: "):
        task.messages(task.records("test", 1, tmp_path, **FAMILY)[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"doc_name": "a.pdf"', "line 1 is not JSON"),
        (b'{"doc_name": "\xff"}\n', "line 1 is not UTF-8"),
        (b'{"doc_name": "a.pdf"}\n', "line 1: field 'questions' is missing"),
        (b'{"doc_name": "a.pdf", "questions": null}\n', "line 1: questions is None, expected a list"),
        (b"[1]\n", r"line 1: is \[1\], expected an object"),
    ],
)
def test_boxes_beside_mmlongbench_doc_are_read_strictly(data: bytes, message: str, tmp_path: Path) -> None:
    trees.mmlongbench_doc(tmp_path)
    (tmp_path / "mmdocir").mkdir()
    (tmp_path / "mmdocir/MMDocIR_annotations.jsonl").write_bytes(data)
    task = registry.get("coreheads_mmlongbench_doc")
    with pytest.raises(UserError, match=f"MMDocIR_annotations.jsonl: {message}"):
        task.regions(task.records("all", 1, tmp_path)[0])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"page": 1, "bbox": [1, 2, 3, 4], "page_size": [0, 0]}, r"page_size is \[0, 0\], expected a width"),
        ({"page": 1, "bbox": ["1", "2", "3", "4"], "page_size": [9, 9]}, r"bbox is \['1', .*expected 4 numbers"),
        ({"page": 1, "bbox": [1, 2, 3], "page_size": [9, 9]}, r"bbox is \[1, 2, 3\], expected 4 numbers"),
        (None, "is None, expected an object"),
    ],
)
def test_a_broken_box_beside_mmlongbench_doc_concerns_its_own_sample(
    layout: object, message: str, tmp_path: Path
) -> None:
    trees.mmlongbench_doc(tmp_path)
    (tmp_path / "mmdocir").mkdir()
    questions = [{"Q": "How many?", "layout_mapping": [layout]}]
    line = json.dumps({"doc_name": "a.pdf", "questions": questions})
    (tmp_path / "mmdocir/MMDocIR_annotations.jsonl").write_text(line + "\n")
    task = registry.get("coreheads_mmlongbench_doc")
    docs = {doc["question"]: doc for doc in task.records("all", data_root=tmp_path)}
    with pytest.raises(BadSample, match=f"MMDocIR_annotations.jsonl: line 1: layout_mapping of 'How many.': {message}"):
        task.regions(docs["How many?"])
    assert task.regions(docs["Which share?"])


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('[{"id": 1, "answer": {"a": 1, "a": 2}}]')
    with pytest.raises(UserError, match=r"file.json: is not JSON of use \('a' is there twice in one object\)"):
        json_file(path)
    path.write_text('{"a": 1}\n{"a": 2, "b": 1, "a": 2}\n')
    with pytest.raises(UserError, match=r"line 2 is not JSON of use \('a' is there twice in one object\)"):
        list(json_lines(path))
