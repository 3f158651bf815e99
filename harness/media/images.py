"""Opening pictures as a reader sees them: RGB of 8 bits.

- Upright by the EXIF tag, or a TIFF's own of the same number, but for a benchmark whose boxes are of the stored pixels
  (``as_stored``). EXIF that cannot be read turns nothing. What is given back has none, so nothing is turned twice.
- Transparency is pasted on white.
- Of an animation, or a file of several pictures, the first; a picture in memory as it stands.
- Grey of 16 bits is scaled by its depth (15 where signed). Integers of 32 bits and floats have no depth that says what
  is white: it is the least of 1, 255 and 65535 that no value exceeds; where some are negative or above 65535, the
  lowest value is black and the highest white. What is no number is black.
- A file that ends too early is no picture, also where Pillow's LOAD_TRUNCATED_IMAGES is set, as lmms-eval does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from coreheads import limits
from coreheads.errors import BadSample, UserError, one_line

_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError)
"""What Pillow raises for a broken picture."""

_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the EXIF tag Orientation; Pillow turns counter-clockwise."""

_BACK: dict[Image.Transpose | None, Image.Transpose] = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}
"""What undoes a turn; any other undoes itself."""

_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
"""Modes of grey in more than 8 bits."""


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
            with _strictly():
                return _shown(value)
        except _UNREADABLE as problem:  # as a mode that has no way to RGB
            raise UserError(f"{where}: a picture of mode {value.mode} cannot be shown ({one_line(problem)})") from None
    if not value.exists():
        raise UserError(f"{value}: no such picture ({where})")
    with _opened(value, str(value), UserError) as picture:
        return _shown(picture)


def decode(data: bytes, where: str, *, as_stored: bool = False) -> Image.Image:
    """An RGB picture of a task's data.

    Args:
        data: Content of an image file.
        where: What to call it in a message.
        as_stored: Not turned by its tag, so that its size is ``picture_size``.

    Raises:
        BadSample: Names ``where`` for what is no picture.
    """
    with _opened(data, where, BadSample) as picture:
        return _shown(picture, as_stored)


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of an image file in pixels, as stored, by its header; arguments and errors as for ``decode``."""
    with _opened(data, where, BadSample) as header:
        tags = getattr(header, "tag_v2", None)  # of a TIFF, which Pillow gives the size that it will turn it to
        return header.size if tags is None else (tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength])


def from_frame(frame: NDArray[np.uint8]) -> Image.Image:
    """A decoded frame, uint8 [H, W, 3], as a picture."""
    return Image.fromarray(frame)


@contextmanager
def _opened(source: Path | bytes, where: str, error: type[UserError]) -> Iterator[Image.Image]:
    """The header of an image file; whatever is wrong with it, or with its pixels, is an ``error`` of one line."""
    try:
        if isinstance(source, Path):
            limits.check_file(source, limits.PICTURE_BYTES)
        with _strictly(), Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            limits.check(picture.width * picture.height, limits.PICTURE_PIXELS, "pixels")
            yield picture
    except _UNREADABLE as problem:
        raise error(f"{where}: cannot be read as a picture ({one_line(problem)})") from None


@contextmanager
def _strictly() -> Iterator[None]:
    """Pillow refuses what is cut off, whoever has told it not to."""
    told = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = told


def _shown(picture: Image.Image, as_stored: bool = False) -> Image.Image:
    """RGB pixels that outlive the file, without what else it says of them; the picture itself where it is just that."""
    key = _eight_bit_key(picture)
    # a TIFF's tag, by which Pillow turns the pixels while it loads them, and which it then forgets
    turned = _TURNS.get(getattr(picture, "tag_v2", {}).get(ExifTags.Base.Orientation))
    picture.load()
    turn = _BACK.get(turned, turned) if as_stored else _turn(picture)
    flat = _flat(picture, key)
    return flat if turn is None else flat.transpose(turn)


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What the EXIF tag asks for."""
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # rubbish in it: Pillow raises a dozen kinds
        return None


def _flat(picture: Image.Image, key: int | tuple[int, ...] | None) -> Image.Image:
    """In RGB; ``key`` stands for the transparent colour that the picture names."""
    if 0 in picture.size:
        raise ValueError(f"it has {picture.width} x {picture.height} pixels")
    if picture.mode == "RGB" and not picture.info:
        return picture
    if picture.mode in _DEEP:
        return _eight_bits(picture).convert("RGB")
    canvas = Image.new("RGB", picture.size, "white")
    if picture.has_transparency_data:
        if key is not None:
            picture = picture.copy()
            picture.info["transparency"] = key
        opaque = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
        canvas.paste(opaque, mask=opaque)
    else:
        canvas.paste(picture.convert("RGB"))
    return canvas


def _eight_bit_key(header: Image.Image) -> int | tuple[int, ...] | None:
    """The transparent colour of a PNG of another depth, which Pillow gives as the file has it, in 8 bits."""
    key, tiles = header.info.get("transparency"), getattr(header, "tile", None)
    depth = tiles[0].args if tiles else None
    if key is None or not isinstance(depth, str):
        return None
    if depth == "RGB;16B":
        return tuple(value >> 8 for value in key)
    return key * {"L;2": 85, "L;4": 17}[depth] if depth in {"L;2", "L;4"} else None


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A picture of deeper grey in mode L, its transparent value white."""
    tags = getattr(picture, "tag_v2", {})  # a TIFF's: 258 bits a sample, 262 whether 0 is white, 339 signed or not
    stored = np.asarray(picture)
    if picture.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        stored = stored.view(np.uint32)
    values = stored.astype(np.float64)
    low, high = _ends(values, picture.mode, tags.get(258, (None,))[0])
    grey = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    if tags.get(262) == 0:
        grey = 1 - grey
    if "transparency" in picture.info:
        grey[stored == picture.info["transparency"]] = 1
    return Image.fromarray(np.rint(255 * grey).astype(np.uint8))


def _ends(values: NDArray[np.float64], mode: str, bits: int | None) -> tuple[float, float]:
    """The values that are black and white; ``bits`` a sample as a TIFF says."""
    if mode.startswith("I;16"):
        return 0, 2 ** (bits or 16) - 1
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low < 0 or high > 65535:
        return low, high if high > low else low + abs(low) + 1
    return 0, 32767 if bits == 16 else next(white for white in (1, 255, 65535) if high <= white)
