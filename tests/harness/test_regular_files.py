"""What stands in a file's place and is none: pipes, sockets, devices and folders are one line, and nobody waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from coreheads.adapters.checkpoints.installed import described
from coreheads.config.parsing import load_yaml
from coreheads.errors import BadSample, UserError
from coreheads.files import cut_half_line, read_json, read_jsonl, regular, whole_file
from coreheads.media.images import open_image
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.media.video import open_clip
from coreheads.tasks.reading.fields import json_file, json_lines
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows
from coreheads.tasks.reading.sources import Source

READERS: dict[str, Callable[[Path], object]] = {
    "x.yaml": load_yaml,
    "x.json": read_json,
    "lines.jsonl": lambda path: list(read_jsonl(path)),
    "half.jsonl": cut_half_line,
    "records.json": json_file,
    "records.jsonl": lambda path: list(json_lines(path)),
    "x.parquet": lambda path: parquet_rows(path, ["a"]),
    "pictures.parquet": lambda path: parquet_picture(path, 0, "a"),
    "x.jpg": lambda path: open_image(path, "here"),
    "count.pdf": page_count,
    "x.pdf": lambda path: pdf_pages(path, 72),
    "x.mp4": open_clip,
}


def put(kind: str, path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's address is short
            listening.bind(path.name)
            os.chdir(here)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_one_line(name: str, kind: str, tmp_path: Path) -> None:
    put(kind, tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: .*{kind}") as said:
        READERS[name](tmp_path / name)
    assert len(str(said.value).splitlines()) == 1


def test_the_one_function(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for wrong in (path, tmp_path / "\0", tmp_path / ("x" * 300)):
        with pytest.raises(BadSample, match=r"no such file|null|opened"):
            regular(wrong, 3, "a PDF", BadSample)
    path.write_bytes(b"1234")
    with pytest.raises(UserError, match=r"x: 4 bytes, expected at most 3"):
        whole_file(path, 3, "a PDF")
    assert regular(path, 4, "a PDF") is path
    assert whole_file(path, 4, "a PDF") == b"1234"


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_a_benchmarks_file(kind: str, tmp_path: Path) -> None:
    put(kind, tmp_path / "a.parquet")
    with pytest.raises(BadSample, match=rf"a\.parquet: is a {kind}, expected a table"):
        Source(str(tmp_path)).file("a.parquet", "a table")


def test_a_checkpoints_configuration(tmp_path: Path) -> None:
    for kind in ("pipe", "socket", "device", "folder"):
        (tmp_path / f"model {kind}").mkdir()
        put(kind, tmp_path / f"model {kind}" / "config.json")
        assert described(str(tmp_path / f"model {kind}")) is None
