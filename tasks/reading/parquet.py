"""Parquet files with pictures inside: single cells, whatever the file's size, and light columns."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.cache import build_once, cache_folder
from coreheads.errors import UserError
from coreheads.text import for_rich

GROUP_BYTES = 128 << 20
"""A row group with a larger column is not read as a whole: the column is unpacked to an Arrow file once."""

_BATCH_ROWS = 8
_ARROW = "column.arrow"


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """An open parquet file; UserError for what is none."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        # without pre_buffer a column is read page by page, not as one block
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: not there, expected a parquet file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]})") from None


def parquet_rows(path: Path, columns: list[str], unread: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Columns of a parquet file as one dict a row.

    Args:
        path: The file.
        columns: Those that are read.
        unread: Those that must be there, too, but are not read.

    Raises:
        UserError: No parquet, a column that is not there, or more bytes than are read as a whole.
    """
    wanted = [*columns, *unread]
    with _parquet(path) as file:
        missing = [name for name in wanted if name not in file.schema_arrow.names]
        if missing:
            has = ", ".join(file.schema_arrow.names)
            raise UserError(f"{path}: has no column {missing[0]}, expected {', '.join(wanted)}; it has {has}")
        total = sum(sum(_sizes(file, column)) for column in columns)
        if total > limits.PARQUET_BYTES:
            raise UserError(f"{path}: columns of {total:,} bytes, expected at most {limits.PARQUET_BYTES:,}")
        rows: list[dict[str, Any]] = file.read(columns=columns).to_pylist()
        return rows


def parquet_picture(path: Path, row: int, column: str) -> bytes:
    """The bytes of one picture, whose cell is bytes, or a struct of bytes and path; empty where it is neither.

    Reads its row group, or, where that is larger than GROUP_BYTES, an Arrow copy of the column.
    """
    ends, sizes = _groups(str(path), column)
    group = bisect_right(ends, row)
    if group == len(ends):
        raise UserError(f"{path}: row {row}, expected less than {ends[-1] if ends else 0}")
    if sizes[group] > GROUP_BYTES:
        cell = _unpacked(path, column)[row].as_py()
    else:
        cell = _row_group(str(path), group, column)[row - (ends[group - 1] if group else 0)].as_py()
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return data if isinstance(data, bytes) else b""


@lru_cache(maxsize=2)
def _row_group(path: str, group: int, column: str) -> Any:
    with _parquet(Path(path)) as file:
        return file.read_row_group(group, columns=[column])[column]


@lru_cache(maxsize=64)
def _groups(path: str, column: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(row number after each row group, bytes of the column in it)."""
    with _parquet(Path(path)) as file:
        return tuple(accumulate(group.num_rows for group in _row_groups(file))), tuple(_sizes(file, column))


def _row_groups(file: Any) -> Iterator[Any]:
    return map(file.metadata.row_group, range(file.metadata.num_row_groups))


def _sizes(file: Any, column: str) -> Iterator[int]:
    """Bytes of a column in each row group, unpacked."""
    for group in _row_groups(file):
        parts = map(group.column, range(group.num_columns))
        yield sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)


@lru_cache(maxsize=8)
def _unpacked(path: Path, column: str) -> Any:
    """The column as a memory-mapped Arrow file in the cache, made once, a few rows in memory at a time."""
    import pyarrow
    from rich.console import Console
    from rich.progress import track

    about = path.stat()
    key = hashlib.sha256(f"{path.resolve().name} {about.st_size} {about.st_mtime_ns} {column}".encode()).hexdigest()

    def batches() -> Iterator[Any]:
        with _parquet(path) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=[column])

    def build(folder: Path) -> None:
        with _parquet(path) as file:
            schema, rows = pyarrow.schema([file.schema_arrow.field(column)]), file.metadata.num_rows
        text, count = for_rich(f"unpacking {path.name} into the cache"), -(-rows // _BATCH_ROWS)
        with pyarrow.OSFile(str(folder / _ARROW), "wb") as stream, pyarrow.ipc.new_file(stream, schema) as copy:
            for batch in track(batches(), text, count, console=Console(stderr=True), transient=True):
                copy.write(batch)

    folder = build_once(cache_folder("arrow") / key[:24], build)
    return pyarrow.ipc.open_file(pyarrow.memory_map(str(folder / _ARROW))).read_all()[column]
