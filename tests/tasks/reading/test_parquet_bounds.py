"""Small parquet files that hold much: one line, and little memory, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mutations
import pytest
from hypothesis import given

from coreheads import limits
from coreheads.errors import UserError
from coreheads.tasks.reading import parquet
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows

READER = """
import resource, sys
from pathlib import Path
import pyarrow.parquet, pyarrow.compute, rich.progress, rich.console
from coreheads.errors import UserError
from coreheads.tasks.reading import parquet
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
try:
    {read}
except UserError as error:
    print(error)
print(peak() - before)
"""


def read(path: Path, what: str) -> tuple[str, int]:
    """(what a process says that reads it so, how many MiB more it took)."""
    program = READER.format(read=what.format(path=f"Path({str(path)!r})"))
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    *said, more = done.stdout.splitlines()
    return "\n".join(said), int(more)


def repeated(path: Path, column: Any, groups: int = 1) -> None:
    """A file whose row groups all hold this column, called a."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"a": column})
    with pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        for _ in range(groups):
            writer.write_table(table)
    assert path.stat().st_size < 100_000 * groups


def equal(count: int, value: str | bytes = "x" * (1 << 20)) -> Any:
    """A value of 1 MiB so many times over, as cheap here as in the file."""
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * count, pyarrow.int32()), [value])


def in_lists(values: Any) -> Any:
    import pyarrow

    return pyarrow.ListArray.from_arrays([0, len(values)], values)


def in_structs(values: Any) -> Any:
    import pyarrow

    return pyarrow.StructArray.from_arrays([values, pyarrow.nulls(len(values))], ["bytes", "path"])


@pytest.mark.parametrize("groups", [1, 10])
@pytest.mark.parametrize("shape", [equal, lambda count: in_lists(equal(count)), lambda count: in_structs(equal(count))])
def test_a_value_a_thousand_times_over(shape: Any, groups: int, tmp_path: Path) -> None:
    repeated(tmp_path / "small.parquet", shape(3000 // groups), groups)
    said, more = read(tmp_path / "small.parquet", "parquet.parquet_rows({path}, ['a'])")
    assert "small.parquet: columns of 3,1" in said
    assert "bytes, expected at most 2,147,483,648" in said
    assert more < 60


def test_nothing_by_the_million(tmp_path: Path) -> None:
    import pyarrow

    repeated(tmp_path / "small.parquet", pyarrow.nulls(40_000_000, pyarrow.int64()))
    said, more = read(tmp_path / "small.parquet", "parquet.parquet_rows({path}, ['a'])")
    assert "columns of 2,560,000,000 bytes, expected at most" in said
    assert more < 60


@pytest.mark.parametrize("cell", ["bytes", "struct"])
def test_one_picture_of_many_equal_ones(cell: str, tmp_path: Path) -> None:
    pictures = equal(1000, b"x" * (1 << 20))
    repeated(tmp_path / "small.parquet", pictures if cell == "bytes" else in_structs(pictures))
    said, more = read(tmp_path / "small.parquet", "print(len(parquet.parquet_picture({path}, 999, 'a')))")
    assert said == str(1 << 20)
    assert more < 60


def test_a_large_group_is_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1000)
    monkeypatch.setattr(limits, "ARCHIVE_FREE", 1 << 20)
    monkeypatch.setattr(limits, "ARCHIVE_RATIO", 2)
    repeated(tmp_path / "small.parquet", [b"x" * 100_000] * 50)
    with pytest.raises(UserError, match=r"small\.parquet: .*1,\d+,\d+ bytes in column a, expected at most 1,0"):
        parquet_picture(tmp_path / "small.parquet", 0, "a")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_read_is_what_was_written(packed: bool, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"t": "a", "l": ["b", None, "b"], "s": {"k": [b"c"], "n": 1}, "e": [], "f": 1.5}, dict.fromkeys("tlsef")]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows * 3), tmp_path / "x.parquet", 2, use_dictionary=packed)
    assert parquet_rows(tmp_path / "x.parquet", list("tlsef")) == rows * 3


def test_a_cell_that_is_no_picture(tmp_path: Path) -> None:
    cells: list[Any] = ["a", [b"a"], {"path": "a"}, {"bytes": [b"a"]}, 1, None, {"bytes": None}]
    for number, cell in enumerate(cells):
        path = tmp_path / f"{number}.parquet"
        repeated(path, [cell])
        assert parquet_picture(path, 0, "a") == b""


def test_broken_pages(tmp_path: Path) -> None:
    """Bytes of the pages, not of the footer: pyarrow ends the process over some footers."""
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "broken.parquet"
    columns = {"a": ["x", "y", "x"] * 5, "l": [["x"], ["y", "z"], []] * 5, "p": [{"bytes": b"a" * 50}] * 15}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, 5)
    whole = path.read_bytes()
    pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")

    @mutations.many
    @given(data=mutations.mutated_bytes(whole[:pages]))
    def broken(data: bytes) -> None:
        path.write_bytes((data + bytes(pages))[:pages] + whole[pages:])
        parquet._groups.cache_clear()
        parquet._row_group.cache_clear()
        for read_it in (lambda: parquet_rows(path, ["a", "l"]), lambda: parquet_picture(path, 7, "p")):
            said = "broken.parquet: as it was"
            try:
                read_it()
            except UserError as error:
                said = str(error)
            assert "broken.parquet" in said
            assert len(said.splitlines()) == 1

    broken()
