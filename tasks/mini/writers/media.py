"""Lossless images, videos and PDFs of pictures as uint8 arrays [height, width, 3]."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def png(picture: Picture) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def write_mp4(path: Path, pictures: Sequence[Picture], fps: int, repeat: int) -> None:
    """H.264 without loss, straight from RGB (no colour conversion, which would smear small glyphs).

    Every picture is shown for ``repeat`` frames.
    """
    import av

    height, width, _ = pictures[0].shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        # one thread: the same bytes every time
        stream = container.add_stream("libx264rgb", rate=fps, options={"crf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = width, height, "rgb24", 1
        for picture in pictures:
            for _ in range(repeat):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_pdf(path: Path, pictures: Sequence[Picture], dpi: int) -> None:
    """A PDF with a picture a page, losslessly packed; rendered at ``dpi`` a page is its picture, pixel by pixel."""
    count = len(pictures)
    kids = " ".join(f"{3 + 3 * index} 0 R" for index in range(count))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Count {count} /Kids [{kids}] >>".encode()]
    for index, picture in enumerate(pictures):
        height, width, _ = picture.shape
        across, down = width * 72 / dpi, height * 72 / dpi
        page = 3 + 3 * index
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {across:g} {down:g}] /Contents {page + 2} 0 R "
            f"/Resources << /XObject << /Im0 {page + 1} 0 R >> >> >>".encode()
        )
        objects.append(
            _stream(
                zlib.compress(picture.tobytes(), 1),
                f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceRGB "
                "/BitsPerComponent 8 /Filter /FlateDecode",
            )
        )
        objects.append(_stream(f"q {across:g} 0 0 {down:g} 0 0 cm /Im0 Do Q".encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_pdf_file(objects))


def _stream(data: bytes, entries: str = "") -> bytes:
    return f"<< {entries} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write("".join(f"{offset:010d} 00000 n \n" for offset in offsets).encode())
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode())
    return out.getvalue()
