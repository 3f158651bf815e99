"""How large input may be: each bound far above what the benchmarks hold, and below what takes a machine down.

Checks raise ValueError with what is too large; callers add the file's name.
"""

from __future__ import annotations

from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30

CONFIG_BYTES = MIB
CONFIG_VALUES = 100_000
"""Values in a configuration, aliases counted as what they stand for."""

CELLS = 50_000
"""Of a run: models x tasks x selections x fractions x draws; all of the paper's are 8,040."""

NAMES = 1000
"""Models of a run, tasks and kinds of cells that it names."""

REPEATS = 10_000
"""Of a timed prompt; what they are resampled from is held at once."""

MODULES = 100_000
"""Of a model; published ones have a few thousand."""

JSON_BYTES = 4 * GIB
"""Of a file of records or results; they are read as a whole."""

STORED_BYTES = 64 * MIB
"""Of a file of a run folder that is read as a whole: manifest.json, heads.json, an example."""

LINES_BYTES, LINE_BYTES = GIB, 16 * MIB
"""Of a file of JSON lines and of one of them: samples, cells, timings."""

JSON_DEPTH = 100
"""Lists and objects within each other."""

PARQUET_BYTES = 8 * GIB
"""Of the columns of a parquet file that are read as a whole, unpacked."""

PICTURE_BYTES = 512 * MIB
PICTURE_PIXELS = 89_478_485
"""Where Pillow begins to warn of a picture that may be made to fill the memory."""

PDF_BYTES = GIB
PDF_PAGES = 10_000
PDF_PIXELS = 3_000_000_000
"""Of the shown pages of one document together, rendered."""

VIDEO_BYTES = 64 * GIB
VIDEO_FRAMES = 5_000_000
"""A day of 60 frames a second; some decoders set memory aside for each."""

SHOWN_BYTES = 16 * GIB
"""Of the frames of one video that are shown, decoded."""

ARCHIVE_MEMBERS = 5_000_000
ARCHIVE_RATIO = 200
"""What an archive holds over its own size; benchmarks' are pictures and videos, which hardly shrink."""

ARCHIVE_FREE = GIB
"""What any archive may hold, however small it is."""


def check(value: float, most: float, what: str) -> None:
    """ValueError where there is more of ``what`` than may be."""
    if value > most:
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.0f}"  # no float holds every whole number
        raise ValueError(f"{shown} {what}, expected at most {most:,}")


def check_file(path: Path, most: int) -> None:
    """ValueError for a file that is larger, and for a pipe or a device, which may never end. Whoever opens it finds out
    that it is not there, or a folder."""
    if path.is_dir():
        return
    if path.exists() and not path.is_file():
        raise ValueError("is a pipe or a device, expected a file")
    check(path.stat().st_size, most, "bytes")
