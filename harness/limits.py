"""How large input may be: each bound far above what the benchmarks hold, and below what takes a machine down.

Checks raise ValueError with what is too large; callers add the file's name.
"""

from __future__ import annotations

import os
import stat
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

RECORDS_BYTES, RECORD_BYTES = 64 * GIB, 256 * MIB
"""Of a benchmark's file of JSON lines that is read line by line, and of one of them."""

PARQUET_FILE_BYTES = 1024 * GIB
PARQUET_BYTES = 2 * GIB
"""Of the columns of a parquet file that are read as a whole, unpacked and without dictionaries."""

STORED_BYTES = 64 * MIB
"""Of a file of a run folder that is read as a whole: manifest.json, heads.json, an example."""

LINES_BYTES, LINE_BYTES = GIB, 16 * MIB
"""Of a file of JSON lines and of one of them: samples, cells, timings."""

SUBMISSION_FILES, SUBMISSION_BYTES = 20_000, 256 * MIB
"""Of a run that others give for a board: its files, and all of them together."""
ANSWER_CHARACTERS = 100_000
"""Of one answer in it; scorers look through all of it."""

JSON_DEPTH = 100
"""Lists and objects within each other."""

PICTURE_BYTES = 512 * MIB
PICTURE_PIXELS = 89_478_485
"""Where Pillow begins to warn of a picture that may be made to fill the memory."""

PDF_BYTES = GIB
PDF_PAGES = 10_000
PROMPT_PIXELS = 800_000_000
"""Of the pictures of one prompt together, PDF pages rendered; Pillow takes 4 bytes for each. A processor takes all of
them at once."""

BATCH_BYTES = 4 * GIB
"""Of the prompts of a batch with their media, beyond which no further one is added."""

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
    """``check_stat`` of what lies at the path, before it is opened: a pipe is waited for as soon as it is."""
    check_stat(path.stat(), most)


def check_stat(about: os.stat_result, most: int) -> None:
    """ValueError for what is no file that can be read to its end, or is larger."""
    if kind := irregular(about):
        raise ValueError(f"is {kind}, expected a file")
    check(about.st_size, most, "bytes")


def irregular(about: os.stat_result) -> str:
    """``a folder``, ``a pipe``, ``a socket`` or ``a device``; empty for a file that can be read to its end."""
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(about.st_mode), "a device")
