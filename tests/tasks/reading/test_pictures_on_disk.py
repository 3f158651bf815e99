"""Parquet cells and PDF pages: read piece by piece, cached within bounds, whatever goes wrong with the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trees

from coreheads.errors import BadSample, UserError
from coreheads.media import page_cache
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.tasks import registry
from coreheads.tasks.mini.writers.media import write_pdf
from coreheads.tasks.reading import parquet
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# ---- parquet


def cells(count: int) -> list[dict[str, bytes]]:
    return [{"image_binary": bytes([number]) * (100 + number)} for number in range(count)]


@pytest.mark.parametrize("rows_a_group", [1, 3, 10])
def test_any_cell_of_any_row_group(rows_a_group: int, tmp_path: Path) -> None:
    trees.parquet(tmp_path / "x.parquet", list(cells(10)), rows_a_group)
    for row in (9, 0, 4, 3, 5):
        assert parquet_picture(tmp_path / "x.parquet", row, "image_binary") == cells(10)[row]["image_binary"]
    with pytest.raises(UserError, match="row 10, expected less than 10"):
        parquet_picture(tmp_path / "x.parquet", 10, "image_binary")


def test_large_row_groups_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.parquet(tmp_path / "x.parquet", list(cells(30)), 30)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1000)
    monkeypatch.setattr(parquet, "_row_group", None)  # must not be asked for
    parquet._unpacked.cache_clear()
    assert [parquet_picture(tmp_path / "x.parquet", row, "image_binary") for row in range(30)] == [
        cell["image_binary"] for cell in cells(30)
    ]
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 1
    before = {path: path.stat().st_mtime_ns for path in files}
    parquet._unpacked.cache_clear()
    parquet_picture(tmp_path / "x.parquet", 3, "image_binary")
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_a_full_disk_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    trees.parquet(tmp_path / "x.parquet", list(cells(3)), 3)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    monkeypatch.setattr(pyarrow, "OSFile", refuse)
    with pytest.raises(UserError, match=r"arrow/\w+: cannot be made \(the disk is full\)"):
        parquet_picture(tmp_path / "x.parquet", 0, "image_binary")


def test_large_row_groups_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.refcocog(tmp_path)
    task = registry.get("coreheads_refcocog")
    docs = task.records("test", data_root=tmp_path, family="qwen3_vl")
    before = [(task.regions(doc), task.messages(doc)[0]["content"][0]["url"].tobytes()) for doc in docs]
    monkeypatch.setattr(parquet, "GROUP_BYTES", 100)
    parquet._unpacked.cache_clear()
    assert [(task.regions(doc), task.messages(doc)[0]["content"][0]["url"].tobytes()) for doc in docs] == before
    assert list((tmp_path / "cache").rglob("*.arrow"))


def test_a_large_column_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """A column of 240 MB in one row group, unpacked by a process that may grow by less than half of that."""
    program = f"""
import numpy as np, pyarrow, pyarrow.parquet, resource, sys
from pathlib import Path
path = Path({str(tmp_path)!r}) / "big.parquet"
field = pyarrow.schema([("image_binary", pyarrow.binary())])
# one row group, written piece by piece: write_table would need it in memory
data = np.random.default_rng(0).integers(0, 255, 1 << 20, dtype=np.uint8).tobytes()
table = pyarrow.table({{"image_binary": [data[:-1] + bytes([n]) for n in range(240)]}}, schema=field)
pyarrow.parquet.write_table(table, path, row_group_size=240, compression="none", use_dictionary=False,
                            data_page_size=1 << 20, write_batch_size=1)
del table
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    reader = f"""
import resource
from pathlib import Path
from coreheads.tasks.reading import parquet
import pyarrow.parquet, rich.progress
parquet.GROUP_BYTES = 1 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cell = parquet.parquet_picture(Path({str(tmp_path)!r}) / "big.parquet", 239, "image_binary")
assert cell[-1] == 239 and len(cell) == 1 << 20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    done = subprocess.run([sys.executable, "-c", reader], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 120, f"{done.stdout.strip()} MB more"


def test_what_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"x.parquet: cannot be read as parquet"):
        parquet_rows(tmp_path / "x.parquet", ["a"])
    with pytest.raises(UserError, match=r"y.parquet: not there"):
        parquet_rows(tmp_path / "y.parquet", ["a"])


# ---- PDF pages


@pytest.fixture
def document(tmp_path: Path) -> Path:
    write_pdf(tmp_path / "x.pdf", [np.asarray(trees.picture(page)) for page in range(4)], 144)
    return tmp_path / "x.pdf"


def test_pages_are_cached_by_content_resolution_and_number(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    pages = pdf_pages(document, 144, cache=cache)
    assert page_count(document) == len(pages) == 4
    assert all(np.array_equal(np.asarray(page), trees.picture(n)) for n, page in enumerate(pages))
    files = {path.name for path in cache.folder.iterdir()}
    assert len(files) == 4
    assert len(pdf_pages(document, 72, 2, cache)) == 2
    assert len(list(cache.folder.iterdir())) == 6
    # the same content elsewhere, without rendering it
    moved = tmp_path / "moved.pdf"
    document.rename(moved)
    again = pdf_pages(moved, 144, cache=PageCache(tmp_path / "pages"))
    assert [page.tobytes() for page in again] == [page.tobytes() for page in pages]
    assert {path.name for path in cache.folder.iterdir()} >= files


def test_neighbours_get_the_same_pages(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    assert pdf_pages(document, 144, cache=cache)[0] is pdf_pages(document, 144, cache=cache)[0]


def test_the_cache_stays_within_bounds_and_keeps_what_is_used(tmp_path: Path) -> None:
    pages = [trees.picture(number) for number in range(6)]
    cache = PageCache(tmp_path / "pages")
    for number, page in enumerate(pages):
        cache.put(f"p{number}", page)
        os.utime(cache.folder / f"p{number}.png", (number, number))
    assert cache.get("p0") is not None  # used last
    size = max(path.stat().st_size for path in cache.folder.iterdir())
    PageCache(tmp_path / "pages", max_bytes=3 * size).trim()
    left = {path.stem for path in cache.folder.iterdir()}
    assert 2 <= len(left) <= 4
    assert "p0" in left
    assert "p1" not in left
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 3 * size


def test_writing_trims_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "_CHECK_EVERY", 1)
    cache = PageCache(tmp_path / "pages", max_bytes=1)
    cache.put("a", trees.picture(0))
    assert not list(cache.folder.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_full_or_closed_disk_only_costs_time(
    error: OSError, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("PIL.Image.Image.save", refuse)
    cache = PageCache(tmp_path / "pages")
    assert len(pdf_pages(document, 96, cache=cache)) == 4
    assert not list(cache.folder.iterdir())


def test_a_broken_entry_is_drawn_anew(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    pages = pdf_pages(document, 100, cache=cache)
    for path in cache.folder.iterdir():
        path.write_bytes(path.read_bytes()[:20])
    from coreheads.media import pdf

    pdf._pages.cache_clear()
    assert [page.tobytes() for page in pdf_pages(document, 100, cache=cache)] == [page.tobytes() for page in pages]


def test_two_processes_share_the_cache(document: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from coreheads.media.pdf import pdf_pages;"
        "from coreheads.media.page_cache import PageCache;"
        "cache = PageCache(Path(sys.argv[2]), max_bytes=20_000);"
        "[cache.trim() or pdf_pages(Path(sys.argv[1]), dpi, cache=cache) for dpi in range(72, 102, 3)]"
    )
    (tmp_path / "pages").mkdir()
    arguments = [sys.executable, "-c", program, str(document), str(tmp_path / "pages")]
    running = [subprocess.Popen(arguments, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=600)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert not list((tmp_path / "pages").glob("*.tmp"))


def test_what_is_no_pdf(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4 not really")
    with pytest.raises(BadSample, match=r"x.pdf: cannot be read as a PDF"):
        page_count(tmp_path / "x.pdf")
    with pytest.raises(BadSample, match=r"y.pdf: cannot be opened .*expected a PDF"):
        pdf_pages(tmp_path / "y.pdf", 72)
