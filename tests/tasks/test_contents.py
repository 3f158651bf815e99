"""A record's fingerprint is over what it shows, asks and expects, of whatever benchmark."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trees
from PIL import Image
from trees import FAMILY, whole

from coreheads.tasks import registry
from coreheads.tasks.mini.data import benchmark_folder
from coreheads.tasks.reading.contents import fingerprints
from coreheads.tasks.reading.documents import Doc

MINI = [name for name in registry.names() if registry.get(name).folder.name == "mini"]
MEDIA = (".mp4", ".pdf", ".jpg", ".jpeg", ".png")


def usable(name: str, root: Path, split: str = "") -> list[Doc]:
    docs = registry.get(name).records(split or whole(name), data_root=root, **({} if split else FAMILY))
    return [doc for doc in docs if "bad" not in doc]


def of(name: str, root: Path, split: str = "") -> dict[str, str | None]:
    return fingerprints(usable(name, root, split), registry.get(name).functions().media)


def change_media(folder: Path) -> int:
    """Have every picture, video and document below a folder show something else, under its name and size."""
    count = 0
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.suffix in MEDIA:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
            count += 1
        elif path.suffix == ".parquet":
            count += _repaint(path)
    return count


def _repaint(path: Path) -> int:
    table = pq.read_table(path)
    rows, count = table.to_pylist(), 0
    for row in rows:
        for name in ("image", "image_binary"):
            cell = row.get(name)
            if cell:
                buffer = io.BytesIO()
                Image.open(io.BytesIO(cell["bytes"] if isinstance(cell, dict) else cell)).rotate(180).save(
                    buffer, "PNG"
                )
                row[name] = {**cell, "bytes": buffer.getvalue()} if isinstance(cell, dict) else buffer.getvalue()
                count += 1
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return count


@pytest.mark.parametrize("name", trees.WRITERS)
def test_published_media_count_by_their_contents(name: str, tmp_path: Path) -> None:
    trees.WRITERS[name](tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    before = of(name, tmp_path / "one")
    assert None not in before.values()
    assert of(name, tmp_path / "two") == before
    assert change_media(tmp_path / "two")
    after = of(name, tmp_path / "two")
    assert after.keys() == before.keys()
    assert [record for record in before if after[record] == before[record]] == []


@pytest.mark.parametrize("name", MINI)
@pytest.mark.parametrize("split", ["test", "profile"])
def test_mini_media_count_by_their_contents(name: str, split: str, small: Path, tmp_path: Path) -> None:
    task = registry.get(name)
    if split not in task.splits:
        pytest.skip("has no such split")
    shutil.copytree(benchmark_folder(task.benchmark, None, make=True), tmp_path / task.benchmark)
    before = of(name, small, split)
    assert None not in before.values()
    assert of(name, tmp_path, split) == before
    assert change_media(tmp_path)
    after = of(name, tmp_path, split)
    assert [record for record in before if after[record] == before[record]] == []


@pytest.mark.parametrize("name", trees.WRITERS)
def test_every_text_and_number_that_is_published_counts(name: str, tmp_path: Path) -> None:
    """Whatever field of a record is changed, some record is another one; ids are the records' names."""
    trees.WRITERS[name](tmp_path)
    docs, media = usable(name, tmp_path), registry.get(name).functions().media
    before = fingerprints(docs, media)
    asked = {"expression", "question", "description", "box", "answer", "candidates", "right", "layouts", "pages"}
    for field in asked & docs[0].keys():
        others = [doc | {field: [doc[field], "another"]} for doc in docs]
        assert all(new != before[record] for record, new in fingerprints(others, media).items()), field


@pytest.mark.parametrize("name", trees.WRITERS)
def test_media_that_are_not_there_say_nothing(name: str, tmp_path: Path) -> None:
    trees.WRITERS[name](tmp_path)
    docs = usable(name, tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.suffix in (*MEDIA, ".parquet")]:
        path.unlink()
    assert set(fingerprints(docs, registry.get(name).functions().media).values()) == {None}


def test_records_that_cannot_be_used_say_nothing() -> None:
    docs = [{"record_id": "1", "root": "/x", "group": "1", "bad": "/x: line 1: no question"}]
    assert fingerprints(docs, lambda doc: []) == {"1": None}


def test_a_context_in_the_file_counts(tmp_path: Path) -> None:
    name = "coreheads_mmlongbench_8k"
    trees.WRITERS[name](tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    path = next(path for path in (tmp_path / "two").rglob("*.jsonl") if '"text": "' in path.read_text())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for passage in line["ctxs"]:
            passage["text"] += "!"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one, two = of(name, tmp_path / "one"), of(name, tmp_path / "two")
    assert sum(one[record] != two[record] for record in one) == len(lines)


def test_fingerprints_need_no_torch(small: Path) -> None:
    program = (
        "import sys; from coreheads.tasks import registry; from coreheads.tasks.code import task_code\n"
        "for name in ('coreheads_mini_refcocog', 'coreheads_mini_mlvu'):\n"
        f"    task = registry.get(name); task.fingerprint(task.records('test', data_root={str(small)!r}))\n"
        "    task_code(task)\n"
        "print([name for name in ('torch', 'transformers', 'lmms_eval', 'decord', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
