"""PDF files written by hand, object by object."""

from __future__ import annotations

import zlib

HELVETICA = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
FONTS = "/Resources << /Font << /Helv 5 0 R >> >>"


def stream(keys: str, content: str) -> str:
    return f"<< {keys} /Length {len(content)} >>\nstream\n{content}\nendstream"


def form(box: tuple[int, int], content: str) -> str:
    """An appearance of this width and height."""
    return stream(f"/Type /XObject /Subtype /Form /BBox [0 0 {box[0]} {box[1]}] {FONTS}", content)


def page(keys: str = "/MediaBox [0 0 200 100]", content: str = "", notes: str = "") -> dict[int, str]:
    """The objects of a document of one page: 3 is the page, 4 what is on it, 5 a font."""
    return {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: f"<< /Type /Page /Parent 2 0 R {keys} {FONTS} /Contents 4 0 R /Annots [{notes}] >>",
        4: stream("", content),
        5: HELVETICA,
    }


def pages(count: int, keys: str) -> dict[int, str]:
    """The objects of a document of so many empty pages."""
    kids = " ".join(f"{number} 0 R" for number in range(3, 3 + count))
    return {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        **dict.fromkeys(range(3, 3 + count), f"<< /Type /Page /Parent 2 0 R {keys} >>"),
    }


def written(objects: dict[int, str], packed: bool = False) -> bytes:
    """The file's bytes; ``packed``: what is no stream in a compressed stream of objects, as most writers have it."""
    out, places = bytearray(b"%PDF-1.7\n"), {}
    inside = [number for number, text in objects.items() if packed and "\nstream\n" not in text]
    for number, text in objects.items():
        if number not in inside:
            places[number] = len(out)
            out += f"{number} 0 obj\n{text}\nendobj\n".encode()
    size = max(objects) + 1
    if not packed:
        at = len(out)
        out += f"xref\n0 {size}\n0000000000 65535 f \n".encode()
        out += b"".join(
            f"{places[number]:010d} 00000 n \n".encode() if number in places else b"0000000000 65535 f \n"
            for number in range(1, size)
        )
        return bytes(out) + f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n".encode()
    offsets, body = "", ""
    for number in inside:
        offsets += f"{number} {len(body)} "
        body += objects[number] + " "
    data = zlib.compress((offsets + body).encode())
    places[size] = len(out)
    out += f"{size} 0 obj\n<< /Type /ObjStm /N {len(inside)} /First {len(offsets)} ".encode()
    out += f"/Filter /FlateDecode /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream\nendobj\n"
    places[size + 1] = at = len(out)
    rows = b""
    for number in range(size + 2):
        if number in inside:
            rows += b"\2" + size.to_bytes(4) + inside.index(number).to_bytes(2)
        else:
            rows += bytes([number in places]) + places.get(number, 0).to_bytes(4) + b"\0\0"
    table = f"<< /Type /XRef /Size {size + 2} /W [1 4 2] /Root 1 0 R /Length {len(rows)} >>"
    out += f"{size + 1} 0 obj\n{table}\nstream\n".encode() + rows + b"\nendstream\nendobj\n"
    return bytes(out) + f"startxref\n{at}\n%%EOF\n".encode()
