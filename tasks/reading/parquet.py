"""Parquet files with pictures inside: single cells, whatever the file's size, and light columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.cache import build_once, cache_folder
from coreheads.errors import UserError, one_line
from coreheads.hashing.contents import file_hash, json_hash, stamp
from coreheads.text import for_rich

GROUP_BYTES = 128 << 20
"""A row group with a larger column is not read as a whole: the column is unpacked to an Arrow file once."""

_VALUE_BYTES = 64
"""What a value takes in Python, however small it is."""

_ARROW = "column.arrow"


@contextmanager
def _parquet(path: Path, packed: bool = True) -> Iterator[Any]:
    """An open parquet file; UserError for what is none.

    packed: texts and bytes of a row group stay dictionaries: a file of some kilobytes may hold gigabytes of one value.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        limits.check_file(path, limits.PARQUET_FILE_BYTES)
        about = parquet.read_metadata(path)
        leaves = [leaf for leaf in map(about.schema.column, range(about.num_columns)) if packed]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.length == 0]
        # without pre_buffer a column is read page by page, not as one block
        with parquet.ParquetFile(
            path, metadata=about, pre_buffer=False, buffer_size=1 << 20, read_dictionary=texts
        ) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: not there, expected a parquet file") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as parquet ({one_line(error)})") from None


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
        chunks = [chunk for group in _row_groups(file) for column in columns for chunk in _chunks(group, column)]
        said = sum(max(chunk.total_uncompressed_size, _VALUE_BYTES * chunk.num_values) for chunk in chunks)
        _bounded(path, said)  # by the file's own word; then by what is found in it
        tables = [file.read_row_group(group, columns=columns) for group in range(file.metadata.num_row_groups)]
        _bounded(path, sum(_bytes(column) for table in tables for column in table.itercolumns()))
        return [row for table in tables for row in table.to_pylist()]


def _bounded(path: Path, total: int) -> None:
    if total > limits.PARQUET_BYTES:
        raise UserError(f"{path}: columns of {total:,} bytes, expected at most {limits.PARQUET_BYTES:,}")


def _bytes(values: Any) -> int:
    """What an Arrow array has without dictionaries, each value as often as it stands there."""
    import pyarrow.compute as compute
    from pyarrow import ChunkedArray, types

    if isinstance(values, ChunkedArray):
        return sum(map(_bytes, values.chunks))
    if types.is_dictionary(values.type):
        lengths = compute.binary_length(values.dictionary).cast("int64")
        return compute.sum(lengths.take(values.indices)).as_py() or 0
    if types.is_struct(values.type):
        return sum(map(_bytes, values.flatten()))
    if types.is_map(values.type):
        return _bytes(values.keys) + _bytes(values.items)
    return _bytes(values.flatten()) if types.is_nested(values.type) else int(values.nbytes)


def parquet_picture(path: Path, row: int, column: str) -> bytes:
    """The bytes of one picture, whose cell is bytes, or a struct of bytes and path; empty where it is neither.

    Reads its row group, or, where that is larger than GROUP_BYTES, an Arrow copy of the column.
    """
    import pyarrow

    now = stamp(path) if path.exists() else ()
    ends, sizes = _groups(str(path), now, column)
    group = bisect_right(ends, row)
    if group == len(ends):
        raise UserError(f"{path}: row {row}, expected less than {ends[-1] if ends else 0}")
    if sizes[group] > GROUP_BYTES:
        key = json_hash([file_hash(path, limits.PARQUET_BYTES), column])
        cell = _unpacked(path, column, key)[row]
    else:
        cell = _row_group(str(path), now, group, column)[row - (ends[group - 1] if group else 0)]
    if pyarrow.types.is_struct(cell.type):
        cell = cell["bytes"] if cell.type.get_field_index("bytes") >= 0 else None
    data = None if cell is None or pyarrow.types.is_nested(cell.type) else cell.as_py()
    return data if isinstance(data, bytes) else b""


@lru_cache(maxsize=2)
def _row_group(path: str, now: object, group: int, column: str) -> Any:
    with _parquet(Path(path)) as file:
        return file.read_row_group(group, columns=[column])[column]


@lru_cache(maxsize=64)
def _groups(path: str, now: object, column: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(row number after each row group, bytes of the column in it)."""
    with _parquet(Path(path)) as file:
        return tuple(accumulate(group.num_rows for group in _row_groups(file))), tuple(_sizes(file, column))


def _row_groups(file: Any) -> Iterator[Any]:
    return map(file.metadata.row_group, range(file.metadata.num_row_groups))


def _sizes(file: Any, column: str) -> Iterator[int]:
    """Bytes of a column in each row group, unpacked."""
    for group in _row_groups(file):
        yield sum(chunk.total_uncompressed_size for chunk in _chunks(group, column))


def _chunks(group: Any, column: str) -> Iterator[Any]:
    """The parts of a column in a row group: several where its cells are structs."""
    parts = map(group.column, range(group.num_columns))
    return (part for part in parts if part.path_in_schema.split(".")[0] == column)


@lru_cache(maxsize=8)
def _unpacked(path: Path, column: str, key: str) -> Any:
    """The column as a memory-mapped Arrow file in the cache, made once, one row in memory at a time.

    UserError for one that holds more bytes than an archive of the file's size may.
    """
    import pyarrow
    from rich.console import Console
    from rich.progress import track

    def batches() -> Iterator[Any]:
        total, most = 0, limits.ARCHIVE_FREE + limits.ARCHIVE_RATIO * path.stat().st_size
        with _parquet(path, packed=False) as file:
            for batch in file.iter_batches(batch_size=1, columns=[column]):
                total += batch.nbytes
                limits.check(total, most, f"bytes in column {column}")
                yield batch

    def build(folder: Path) -> None:
        with _parquet(path, packed=False) as file:
            schema, rows = pyarrow.schema([file.schema_arrow.field(column)]), file.metadata.num_rows
        text = for_rich(f"unpacking {path.name} into the cache")
        with pyarrow.OSFile(str(folder / _ARROW), "wb") as stream, pyarrow.ipc.new_file(stream, schema) as copy:
            for batch in track(batches(), text, rows, console=Console(stderr=True), transient=True):
                copy.write(batch)

    folder = build_once(cache_folder("arrow") / key[:24], build)
    return pyarrow.ipc.open_file(pyarrow.memory_map(str(folder / _ARROW))).read_all()[column]
