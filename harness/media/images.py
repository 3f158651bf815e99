"""Opening pictures the way transformers does: turned upright by their EXIF tag, in RGB."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from coreheads import limits
from coreheads.errors import BadSample, UserError, one_line


def open_image(value: Image.Image | Path, where: str) -> Image.Image:
    """An upright RGB picture; UserError names a file that is missing or no picture. ``where`` is its place.

    A picture in memory that is both already is given back as it is, not copied.
    """
    if isinstance(value, Image.Image):
        try:
            return _upright(value)
        except ValueError as error:  # a mode that has no way to RGB
            raise UserError(f"{where}: a picture of mode {value.mode} cannot be shown ({error})") from None
    if not value.is_file():
        raise UserError(f"{value}: no such picture ({where})")
    try:
        limits.check_file(value, limits.PICTURE_BYTES)
        with Image.open(value) as picture:
            limits.check(picture.width * picture.height, limits.PICTURE_PIXELS, "pixels")
            picture.load()  # pixels outlive the file
            return _upright(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{value}: cannot be read as a picture ({error})") from None


def _upright(picture: Image.Image) -> Image.Image:
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if 0 in picture.size:
        raise ValueError(f"it has {picture.width} x {picture.height} pixels")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def decode(data: bytes, where: str) -> Image.Image:
    """An RGB image of the bytes of an image file; BadSample names ``where`` for what is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            limits.check(picture.width * picture.height, limits.PICTURE_PIXELS, "pixels")
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadSample(f"{where}: cannot be read as a picture ({one_line(error)})") from None


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of an image file in pixels, from its header; BadSample as for ``decode``."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            return header.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadSample(f"{where}: cannot be read as a picture ({one_line(error)})") from None
