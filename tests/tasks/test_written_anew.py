"""Data that is written anew under the same names is read anew, by a process that has read the old ones, too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trees
from PIL import Image

from coreheads.errors import BadSample
from coreheads.tasks import registry
from coreheads.tasks.mlvu import data as mlvu_data
from coreheads.tasks.reading import archives, parquet
from coreheads.tasks.reading.parquet import parquet_picture
from coreheads.tasks.reading.sources import Source


def rows(first: int) -> list[dict[str, Any]]:
    return [{"image": bytes([first + row]) * 2000} for row in range(9)]


def test_an_arrow_copy_is_of_these_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    path, other = tmp_path / "x.parquet", tmp_path / "other" / "x.parquet"
    other.parent.mkdir()
    trees.parquet(path, rows(10), 9)
    trees.parquet(other, rows(50), 9)
    about = path.stat()
    assert about.st_size == other.stat().st_size
    assert parquet_picture(path, 3, "image") == rows(10)[3]["image"]
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert parquet_picture(other, 3, "image") == rows(50)[3]["image"]  # of the same name, size and time
    trees.parquet(path, rows(90), 9)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    for memory in (parquet._groups, parquet._row_group):
        memory.cache_clear()
    assert parquet_picture(path, 3, "image") == rows(90)[3]["image"]
    moved = path.rename(tmp_path / "moved.parquet")
    copies = list((tmp_path / "cache").rglob("*.arrow"))
    assert parquet_picture(moved, 3, "image") == rows(90)[3]["image"]
    assert list((tmp_path / "cache").rglob("*.arrow")) == copies  # one of these bytes is there


def shown(name: str, root: Path) -> list[Any]:
    """Regions, texts and pictures of all records."""
    for memory in (parquet._groups, parquet._row_group):
        memory.cache_clear()
    task = registry.get(name)
    split = "all" if "all" in task.splits else "test"
    read: list[Any] = []
    for doc in task.records(split, data_root=root, family="qwen3_vl"):
        try:
            messages = task.messages(doc)
            regions = (mlvu_data if "mlvu" in name else task).regions(doc)
        except BadSample as error:
            read.append(str(error).removeprefix(str(root)))
            continue
        parts = [part for turn in messages for part in turn["content"]]
        pictures = [np.asarray(part["url"]).tobytes() for part in parts if isinstance(part.get("url"), Image.Image)]
        named = [str(part["url"]).removeprefix(str(root)) for part in parts if isinstance(part.get("url"), str | Path)]
        read.append([regions, pictures, named, [part.get("text") for part in parts]])
    return read


def write(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, second: bool) -> None:
    """The task's tree; the second one has other pictures, boxes and texts under the same names."""
    with monkeypatch.context() as patch:
        if second:
            first = trees.picture
            size = (trees.WIDTH + 8, trees.HEIGHT + 8) if "refcocog" in name else (trees.WIDTH, trees.HEIGHT)
            patch.setattr(trees, "picture", lambda seed: first(seed + 1000, *size))
        trees.WRITERS[name](root)
        if name == "coreheads_mlvu_dev":
            entry = {"video": "plotQA_1.mp4", "question": "What about plotQA?", "start": 0.0, "end": 1.0}
            box = [0.0, 0.0, 0.5, 0.25 if second else 0.5]
            (root / "mlvu_dev/regions.json").write_text(json.dumps([{**entry, "box": box}]))
        if name == "coreheads_mmlongbench_doc":
            trees.mmdocir(root)
            annotated = root / "mmdocir/MMDocIR_annotations.jsonl"
            line = {
                "doc_name": "a.pdf",
                "questions": [{"Q": "How many?", "layout_mapping": [trees.layout(1, [0, 0, 9, 9])]}],
            }
            annotated.write_text(json.dumps(line) + "\n")
    for path in [path for path in root.rglob("*.json*") if second]:
        text = path.read_text()
        for old, new in (
            ('"ymin": 8', '"ymin": 9'),
            ("a time.", "a year."),
            ("Ann Lee built", "Bob Lee built"),
            ("9, 9]", "8, 8]"),
        ):
            text = text.replace(old, new)
        path.write_text(text)


@pytest.mark.parametrize("name", sorted(trees.WRITERS))
def test_a_process_reads_what_is_there_now(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, two = tmp_path / "one", tmp_path / "two"
    write(name, one, monkeypatch, second=False)
    before = shown(name, one)
    assert shown(name, one) == before
    write(name, one, monkeypatch, second=True)
    write(name, two, monkeypatch, second=True)
    now = shown(name, one)
    assert now == shown(name, two)
    assert now != before or name == "coreheads_mlvu_test"  # of which only the videos are others


def test_archives_of_another_revision_are_unpacked_anew() -> None:
    folders = {archives.unpack_folder(Source(place)) for place in ("hub:a/b", "hub:a/b@one", "hub:a/b@two")}
    assert len(folders) == 3
