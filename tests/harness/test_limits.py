"""Each bound on the size of input, exceeded cheaply: by lowering it, or by a header that promises much."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreheads import limits
from coreheads.config.parsing import load_yaml
from coreheads.errors import BadSample, UserError
from coreheads.files import read_json
from coreheads.media.images import decode, open_image
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.media.video import open_clip, sample
from coreheads.tasks.reading import archives
from coreheads.tasks.reading.fields import json_file
from coreheads.tasks.reading.parquet import parquet_rows


def png(width: int, height: int) -> bytes:
    """A picture of a few bytes that says that it is this large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 30_000, 2**31 - 1])
def test_a_picture_that_would_fill_the_memory(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    with pytest.raises(UserError, match=r"bomb\.png: cannot be read as a picture"):
        open_image(path, "here")
    with pytest.raises(BadSample, match="cannot be read as a picture"):
        decode(path.read_bytes(), "here")


def test_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"{}" + b" " * 100)
    for name in ("JSON_BYTES", "PICTURE_BYTES", "PDF_BYTES", "VIDEO_BYTES", "CONFIG_BYTES"):
        monkeypatch.setattr(limits, name, 50)
    for read in (read_json, json_file, lambda p: open_image(p, "here"), page_count, open_clip, load_yaml):
        with pytest.raises(UserError, match=r"large: .*bytes.*, expected at most 50"):
            read(path)


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_json, json_file, page_count):
        with pytest.raises(UserError, match="pipe"):
            read(tmp_path / "pipe")


def test_pdfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pypdfium2 as pdfium

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "large.pdf"
    document = pdfium.PdfDocument.new()
    for _ in range(3):
        document.new_page(14_000, 14_000)
    document.save(path)
    with pytest.raises(BadSample, match=r"large\.pdf: .*pixels on a page"):
        pdf_pages(path, 72)
    assert page_count(path) == 3
    monkeypatch.setattr(limits, "PROMPT_PIXELS", 25_000)
    with pytest.raises(BadSample, match=r"large\.pdf: .*pixels on all pages"):
        pdf_pages(path, 1, cache=None)
    monkeypatch.setattr(limits, "PDF_PAGES", 2)
    os.utime(path, (1, 1))  # what is known of a file holds as long as it does not change
    with pytest.raises(BadSample, match=r"3 pages, expected at most 2"):
        page_count(path)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(16):
            picture = np.full((48, 64, 3), number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "most", "message"),
    [("VIDEO_FRAMES", 15, "16 frames"), ("PICTURE_PIXELS", 999, "pixels a frame"), ("SHOWN_BYTES", 20_000, "to show")],
)
def test_videos(video: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int, message: str) -> None:
    def rule(total: int, fps: float) -> list[int]:
        return [0, total // 2, total - 1]

    assert len(sample(video, rule).frames) == 3
    monkeypatch.setattr(limits, name, most)
    with pytest.raises(UserError, match=rf"clip\.mp4: .*{message}"):
        sample(video, rule)


def tar(path: Path, **members: Any) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("UP", ".."))
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def unpack(path: Path, into: Path) -> None:
    from coreheads.tasks.reading.sources import Source

    archives._unpack([path], into, path.name, Source(str(path.parent)))


def test_archives_that_lead_out_of_their_folder(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../out.txt", "x")
    made = [
        tmp_path / "bad.zip",
        tar(tmp_path / "up.tar", UP__out=b"x"),
        tar(tmp_path / "link.tar", inside="../../out", inside__file=b"x"),
        tar(tmp_path / "absolute.tar", inside="/etc/passwd"),
    ]
    for path in made:
        with pytest.raises(UserError, match="cannot be unpacked"):
            unpack(path, tmp_path / "safe")
    assert {path.name for path in tmp_path.iterdir()} == {"safe", *(path.name for path in made)}


def test_archives_that_hold_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARCHIVE_FREE", 0)
    monkeypatch.setattr(limits, "ARCHIVE_RATIO", 10)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 10**6)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("zeros")
        info.size = 10**6
        packed.addfile(info, io.BytesIO(b"\0" * 10**6))
    for path in (tmp_path / "bomb.zip", tmp_path / "bomb.tar.gz"):
        with pytest.raises(UserError, match=r"cannot be unpacked \(1,000,000 bytes in it"):
            unpack(path, tmp_path / "into")
    monkeypatch.setattr(limits, "ARCHIVE_MEMBERS", 1)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("b", "1")
    for path in (tmp_path / "many.zip", tar(tmp_path / "many.tar", a=b"1", b=b"1")):
        with pytest.raises(UserError, match=r"2 members"):
            unpack(path, tmp_path / "into")
    assert not (tmp_path / "into" / "zeros").exists()


def test_parquet_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": list(range(1000))}), tmp_path / "a.parquet")
    assert len(parquet_rows(tmp_path / "a.parquet", ["a"])) == 1000
    monkeypatch.setattr(limits, "PARQUET_BYTES", 1000)
    with pytest.raises(UserError, match=r"a\.parquet: columns of .* bytes, expected at most 1,000"):
        parquet_rows(tmp_path / "a.parquet", ["a"])
