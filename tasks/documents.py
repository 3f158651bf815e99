"""What a task's records and messages look like, and the readers that open media one sample at a time."""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Doc = dict[str, Any]
"""One sample: JSON values only, the media by their path below ``doc["root"]``.

Every one has ``record_id``, ``root`` (the folder of its benchmark), ``prompt`` and ``query``.
"""

_PDFIUM = threading.Lock()


def user_turn(*content: dict[str, Any]) -> list[dict[str, Any]]:
    """One message of the chat format of lmms-eval and transformers."""
    return [{"role": "user", "content": list(content)}]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(picture: Image) -> dict[str, Any]:
    return {"type": "image", "url": picture}


def video(path: Path, start: float | None = None, end: float | None = None) -> dict[str, Any]:
    """A video, or its part from ``start`` to ``end`` seconds.

    A part is named twice: start_time and end_time are lmms-eval's words, start and end our adapters'.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such video")
    content: dict[str, Any] = {"type": "video", "url": str(path)}
    if start is not None or end is not None:
        content |= {"start_time": start, "end_time": end, "start": start, "end": end}
    return content


def existing(path: Path, what: str) -> Path:
    """The path itself, or a UserError that names what should be there."""
    if not path.exists():
        raise UserError(f"{path}: not there, expected {what}")
    return path


@lru_cache(maxsize=2)
def _row_group(path: str, group: int, column: str) -> list[Any]:
    import pyarrow.parquet as parquet

    values: list[Any] = parquet.ParquetFile(path).read_row_group(group, columns=[column])[column].to_pylist()
    return values


@lru_cache(maxsize=64)
def _group_ends(path: str) -> tuple[int, ...]:
    import pyarrow.parquet as parquet

    metadata = parquet.ParquetFile(path).metadata
    ends, total = [], 0
    for group in range(metadata.num_row_groups):
        total += metadata.row_group(group).num_rows
        ends.append(total)
    return tuple(ends)


def parquet_cell(path: Path, row: int, column: str) -> Any:
    """One cell of a parquet file; only its row group is read."""
    ends = _group_ends(str(path))
    for group, end in enumerate(ends):
        if row < end:
            return _row_group(str(path), group, column)[row - (ends[group - 1] if group else 0)]
    raise UserError(f"{path}: row {row}, expected less than {ends[-1] if ends else 0}")


def parquet_rows(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    """The named columns of a parquet file, as one dict a row."""
    import pyarrow.parquet as parquet

    existing(path, "a parquet file")
    rows: list[dict[str, Any]] = parquet.read_table(path, columns=columns).to_pylist()
    return rows


def decode(data: bytes) -> Image:
    """An RGB image of the bytes of an image file."""
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


@lru_cache(maxsize=4)
def pdf_pages(path: str, dpi: int) -> tuple[Image, ...]:
    """Every page of a PDF as an RGB image of ``dpi`` pixels an inch."""
    import pypdfium2 as pdfium

    existing(Path(path), "a PDF")
    with _PDFIUM:
        document = pdfium.PdfDocument(path)
        try:
            return tuple(page.render(scale=dpi / 72).to_pil().convert("RGB") for page in document)
        finally:
            document.close()
