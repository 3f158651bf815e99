"""Parquet files with pictures inside: single cells, whatever the file's size, and light columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.cache import build_once, cache_folder
from coreheads.errors import UserError

GROUP_BYTES = 128 << 20
"""A row group with a larger column is not read as a whole: its cells are unpacked to files once."""

_BATCH_ROWS = 8


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
    except (pyarrow.ArrowInvalid, pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]})") from None


def parquet_rows(path: Path, columns: list[str], unread: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The named columns of a parquet file, as one dict a row; UserError names a column that is not there.

    unread: columns that must be there, too, but are not read.
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


def parquet_cell(path: Path, row: int, column: str) -> Any:
    """One cell; reads its row group, or, where that is larger than GROUP_BYTES, an unpacked copy of the column.

    Of a picture (a struct of bytes and path) the unpacked copy holds the bytes.
    """
    ends, sizes = _groups(str(path), column)
    for group, end in enumerate(ends):
        if row < end:
            if sizes[group] > GROUP_BYTES:
                return (_unpacked(path, column) / f"{row // 1000:04d}" / f"{row:07d}").read_bytes()
            return _row_group(str(path), group, column)[row - (ends[group - 1] if group else 0)]
    raise UserError(f"{path}: row {row}, expected less than {ends[-1] if ends else 0}")


def parquet_picture(path: Path, row: int, column: str) -> bytes:
    """The bytes of one picture, whose cell is bytes, or a struct of bytes and path; empty where it is neither."""
    return _bytes(parquet_cell(path, row, column))


def _bytes(cell: Any) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return data if isinstance(data, bytes) else b""


@lru_cache(maxsize=2)
def _row_group(path: str, group: int, column: str) -> list[Any]:
    with _parquet(Path(path)) as file:
        values: list[Any] = file.read_row_group(group, columns=[column])[column].to_pylist()
        return values


@lru_cache(maxsize=64)
def _groups(path: str, column: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(row number after each row group, bytes of the column in it)."""
    with _parquet(Path(path)) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        return tuple(accumulate(groups)), tuple(_sizes(file, column))


def _sizes(file: Any, column: str) -> Iterator[int]:
    """Bytes of a column in each row group, unpacked."""
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        parts = [group.column(place) for place in range(group.num_columns)]
        yield sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)


@lru_cache(maxsize=8)
def _unpacked(path: Path, column: str) -> Path:
    """Folder with a file for every cell of a column of bytes or pictures, <row // 1000>/<row>; made once."""
    from rich.console import Console
    from rich.progress import Progress

    about = path.stat()
    key = hashlib.sha256(f"{path.resolve().name} {about.st_size} {about.st_mtime_ns} {column}".encode()).hexdigest()

    def build(folder: Path) -> None:
        with _parquet(path) as file, Progress(console=Console(stderr=True), transient=True) as bar:
            job = bar.add_task(f"unpacking {path.name} into the cache", total=file.metadata.num_rows)
            row = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
                for value in batch.column(0):
                    place = folder / f"{row // 1000:04d}" / f"{row:07d}"
                    place.parent.mkdir(exist_ok=True)
                    cell = value.as_py()
                    place.write_bytes(_bytes(cell))
                    row += 1
                bar.update(job, completed=row)

    return build_once(cache_folder("unpacked") / key[:24], build)
