"""Hundreds of broken pictures, videos and PDFs: each is shown or is one clear line, and the process lives."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import mutations
import pdfs
import pytest
from adapter_cases import picture
from hypothesis import given
from movies import Movie, cut, listed, steady, turn

from coreheads.errors import BadSample, UserError
from coreheads.media.images import decode, open_image
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import pdf_pages
from coreheads.media.video import sample

pytestmark = pytest.mark.filterwarnings("ignore")  # what Pillow has to say of broken files


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    picture(40, 30).save(stream, kind)
    return stream.getvalue()


def document() -> bytes:
    stream = io.BytesIO()
    picture(200, 100).save(stream, "PDF", save_all=True, append_images=[picture(100, 200, 1)])
    return stream.getvalue()


def one_line_or_fine(show: Callable[[], object], name: str) -> None:
    said = ""
    try:
        show()
    except UserError as error:
        said = str(error)
    assert not said or (name in said and len(said.splitlines()) == 1)


PICTURES = {kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broken"

    @mutations.many
    @given(data=mutations.mutated_bytes(PICTURES[kind]))
    def broken(data: bytes) -> None:
        path.write_bytes(data)
        one_line_or_fine(lambda: open_image(path, "here"), "broken")
        one_line_or_fine(lambda: decode(data, "broken"), "broken")

    broken()


VIDEOS = {
    "constant": Movie(steady(12), codec="mpeg4"),
    "variable": Movie(listed([1, 9, 2] * 4), between=2, group=5),
    "stream": Movie(steady(12), codec="mpeg2video", ending="ts", between=2),
    "webm": Movie(steady(12), codec="libvpx", ending="webm"),
    "cut": Movie(steady(30), between=2, group=12),
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_videos(tmp_path: Path, kind: str) -> None:
    path = VIDEOS[kind].write(tmp_path)
    if kind == "cut":
        path = turn(cut(path, tmp_path / "cut.mp4", 17, 26), tmp_path / "turned.mp4", (0, 1, -1, 0))
    target = tmp_path / f"broken{path.suffix}"

    @mutations.many
    @given(data=mutations.mutated_bytes(path.read_bytes()))
    def broken(data: bytes) -> None:
        target.write_bytes(data)

        def show() -> None:
            shown = sample(target, lambda total, fps: sorted({0, total // 2, total - 1}))
            assert shown.frames.ndim == 4
            assert list(shown.ticks) == sorted(shown.ticks)

        one_line_or_fine(show, target.name)

    broken()


def filled_form(packed: bool) -> bytes:
    objects = pdfs.page("/MediaBox [0 0 200 100] /UserUnit 1.5", notes="6 0 R 7 0 R")
    style = "/DA (/Helv 12 Tf 0 g)"
    objects[1] = (
        f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R 7 0 R] /NeedAppearances true {style} >> >>"
    )
    objects[6] = f"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (4711) /Rect [9 9 90 30] {style} >>"
    objects[7] = (
        "<< /Type /Annot /Subtype /Widget /FT /Btn /T (b) /V /On /Rect [9 40 30 60] /AP << /N << /On 8 0 R >> >> >>"
    )
    return pdfs.written(objects | {8: pdfs.form((20, 20), "0 g 5 5 9 9 re f")}, packed)


DOCUMENTS = {"pictures": document(), "form": filled_form(False), "packed form": filled_form(True)}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_pdfs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broken.pdf"

    @mutations.many
    @given(data=mutations.mutated_bytes(DOCUMENTS[kind]))
    def broken(data: bytes) -> None:
        path.write_bytes(data)
        one_line_or_fine(lambda: pdf_pages(path, 36, 3, PageCache(tmp_path / "pages")), "broken.pdf")

    broken()


@pytest.mark.parametrize("name", ["empty", "folder", "not-there", "dangling", "pipe"])
def test_something_else_in_a_files_place(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    path = tmp_path / name
    with pytest.raises(UserError, match=name):
        open_image(path, "here")
    with pytest.raises(UserError, match=name):
        sample(path, lambda total, fps: [0])
    with pytest.raises(BadSample, match=name):
        pdf_pages(path, 36)
