"""Parquet cells: read piece by piece, within bounds, whatever is wrong with the file or the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trees

from coreheads.errors import UserError
from coreheads.tasks import registry
from coreheads.tasks.reading import parquet
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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
