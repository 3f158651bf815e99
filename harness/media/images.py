"""Opening pictures the way transformers does: turned upright by their EXIF tag, in RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from coreheads import limits
from coreheads.errors import BadSample, UserError, one_line


def open_image(value: Image.Image | Path, where: str) -> Image.Image:
    """An upright RGB picture that a model is given.

    Args:
        value: A picture in memory, given back as it is where it is upright and RGB already, or a file.
        where: What to call its place in a message.

    Raises:
        UserError: Names a file that is missing or no picture.
    """
    if isinstance(value, Image.Image):
        try:
            return _upright(value)
        except ValueError as error:  # a mode that has no way to RGB
            raise UserError(f"{where}: a picture of mode {value.mode} cannot be shown ({error})") from None
    if not value.is_file():
        raise UserError(f"{value}: no such picture ({where})")
    with _opened(value, str(value), UserError) as picture:
        picture.load()  # pixels outlive the file
        return _upright(picture)


def decode(data: bytes, where: str) -> Image.Image:
    """An upright RGB picture of a task's data.

    Args:
        data: Content of an image file.
        where: What to call it in a message.

    Raises:
        BadSample: Names ``where`` for what is no picture.
    """
    with _opened(data, where, BadSample) as picture:
        picture.load()
        return _upright(picture)


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of an image file in pixels, from its header; arguments and errors as for ``decode``."""
    with _opened(data, where, BadSample) as header:
        return header.size


def from_frame(frame: NDArray[np.uint8]) -> Image.Image:
    """A decoded frame, uint8 [H, W, 3], as a picture."""
    return Image.fromarray(frame)


@contextmanager
def _opened(source: Path | bytes, where: str, error: type[UserError]) -> Iterator[Image.Image]:
    """The header of an image file; whatever is wrong with it, or with its pixels, is an ``error`` of one line."""
    try:
        if isinstance(source, Path):
            limits.check_file(source, limits.PICTURE_BYTES)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            limits.check(picture.width * picture.height, limits.PICTURE_PIXELS, "pixels")
            yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as problem:
        raise error(f"{where}: cannot be read as a picture ({one_line(problem)})") from None


def _upright(picture: Image.Image) -> Image.Image:
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if 0 in picture.size:
        raise ValueError(f"it has {picture.width} x {picture.height} pixels")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
