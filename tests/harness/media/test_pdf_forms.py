"""Filled PDF forms: what a reader sees of fields, ticks and choices is on the page, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pdfs
import pytest
from numpy.typing import NDArray

from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import pdf_pages

BOX = (40, 30, 160, 60)
"""Where the widget is, in points from the bottom left, on a page of 200 x 100."""
SIZE = (120, 30)
WORDS = "/Tx BMC q BT /Helv 20 Tf 0 g 4 6 Td (4711) Tj ET Q EMC"
SQUARE = "0 g 5 5 20 20 re f"
CONTENT = "BT /Helv 10 Tf 5 85 Td (Total) Tj ET"
STYLE = "/DA (/Helv 16 Tf 0 g)"
TEXT = f"/FT /Tx /T (a) /V (4711) {STYLE}"
TICK = "/FT /Btn /T (a) /V /Yes /AS /Yes"


def document(
    widget: str, look: str = "", form: str = "", flags: int = 4, page: str = "/MediaBox [0 0 200 100]"
) -> dict[int, str]:
    """A page with one widget; ``form``: what is in the document's form, without it the document has none."""
    look = look and f"/AP << /N {look} >>"
    objects = pdfs.page(page, CONTENT, "6 0 R")
    box = " ".join(map(str, BOX))
    objects[6] = f"<< /Type /Annot /Subtype /Widget /F {flags} /Rect [{box}] /P 3 0 R {widget} {look} >>"
    objects |= {7: pdfs.form(SIZE, WORDS), 8: pdfs.form((30, 30), SQUARE), 9: pdfs.form(SIZE, "")}
    if form:
        fonts = f"/DR << /Font << /Helv 5 0 R >> >> {STYLE}"
        objects[1] = f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] {fonts} {form} >> >>"
    return objects


def shown(objects: dict[int, str], folder: Path) -> NDArray[np.uint8]:
    """The page in grey, 2 pixels a point."""
    (folder / "form.pdf").write_bytes(pdfs.written(objects))
    (page,) = pdf_pages(folder / "form.pdf", 144, None, PageCache(folder / "pages"))
    return np.asarray(page.convert("L"))


def dark(page: NDArray[np.uint8], box: tuple[int, int, int, int] = BOX) -> int:
    x0, y0, x1, y1 = (2 * edge for edge in box)
    return int((page[len(page) - y1 : len(page) - y0, x0:x1] < 128).sum())


PLAIN, ANEW = "/Version 1", "/NeedAppearances true"


@pytest.mark.parametrize("form", [PLAIN, ANEW, ""], ids=["form", "NeedAppearances", "form lost"])
@pytest.mark.parametrize(
    ("widget", "look"),
    [
        (TEXT, "7 0 R"),
        (TEXT, ""),
        (f"/FT /Tx /T (a) /Ff 4096 /V (4711 and more) {STYLE}", ""),
        (f"/FT /Tx /T (a) /Ff 16777216 /MaxLen 6 /V (4711) {STYLE}", ""),
        ("/FT /Tx /T (a) /V (4711) /DA (/Helv 0 Tf 0 g)", ""),
        (TICK, "<< /Yes 8 0 R >>"),
        (f"{TICK} /MK << /CA (4) >>", ""),
        ("/FT /Btn /Ff 32768 /T (a) /V /Yes /AS /Yes /MK << /CA (l) >>", ""),
        (f"/FT /Ch /Ff 131072 /T (a) /V (Pear) /Opt [(Apple) (Pear)] {STYLE}", ""),
        (f"/FT /Ch /T (a) /V (Pear) /Opt [(Apple) (Pear)] {STYLE}", ""),
        ("/FT /Sig /T (a)", "7 0 R"),
    ],
    ids=["text", "bare text", "lines", "comb", "auto size", "tick", "bare tick", "radio", "combo", "list", "signature"],
)
def test_what_is_filled_in_is_shown(widget: str, look: str, form: str, tmp_path: Path) -> None:
    page = shown(document(widget, look, form), tmp_path)
    assert dark(page) > 100
    assert dark(page, (0, 80, 40, 95)) > 50  # the page's own words


@pytest.mark.parametrize("form", [PLAIN, ANEW, ""])
@pytest.mark.parametrize("look", ["", "<< /Yes 8 0 R >>", "<< /Yes 8 0 R /Off 9 0 R >>"])
@pytest.mark.parametrize("kind", ["", "/Ff 32768"], ids=["tick", "radio"])
def test_a_tick_that_only_its_value_tells(kind: str, look: str, form: str, tmp_path: Path) -> None:
    widget = f"/FT /Btn {kind} /T (a) /V"
    page = shown(document(f"{widget} /Yes", look, form), tmp_path)
    assert dark(page) > 100
    assert dark(shown(document(f"{widget} /Off", look, form), tmp_path)) == 0


@pytest.mark.parametrize("form", [PLAIN, ANEW])
@pytest.mark.parametrize(
    ("widget", "look", "flags"),
    [
        (TEXT, "7 0 R", 2),  # hidden
        (TEXT, "7 0 R", 4 + 32),  # not to be viewed
        ("/FT /Btn /T (a) /V /Off /AS /Off", "<< /Yes 8 0 R >>", 4),
        (f"/FT /Tx /T (a) {STYLE}", "", 4),
        (f"/FT /Tx /T (a) /V () {STYLE}", "9 0 R", 4),
    ],
    ids=["hidden", "no view", "not ticked", "empty", "empty look"],
)
def test_what_is_not_to_be_seen_is_not_shown(widget: str, look: str, flags: int, form: str, tmp_path: Path) -> None:
    with_form = shown(document(widget, look, form, flags), tmp_path)
    without = shown(pdfs.page(content=CONTENT), tmp_path)
    assert np.array_equal(with_form, without)  # no highlights, no frames


def test_a_field_of_several_widgets(tmp_path: Path) -> None:
    objects = document("/Parent 10 0 R /AS /Yes", "<< /Yes 8 0 R >>", PLAIN)
    objects[1] = objects[1].replace("/Fields [6 0 R]", "/Fields [10 0 R]")
    objects[10] = f"<< /FT /Btn /T (group) /V /Yes /Kids [6 0 R] {STYLE} >>"
    assert dark(shown(objects, tmp_path)) > 100


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_on_a_turned_and_cut_page_of_larger_units(turn: int, tmp_path: Path) -> None:
    keys = f"/MediaBox [0 0 400 300] /CropBox [100 50 300 150] /Rotate {turn} /UserUnit 2"
    objects = document(TICK, "<< /Yes 8 0 R >>", PLAIN, page=keys)
    objects[6] = objects[6].replace("/Rect [40 30 160 60]", "/Rect [140 80 170 110]")
    objects[4] = pdfs.stream("", "")
    page = np.rot90(shown(objects, tmp_path), turn // 90)
    assert page.shape == (400, 800)
    down, across = np.nonzero(page < 128)
    edges = [across.min(), 400 - down.max(), across.max(), 400 - down.min()]  # of the square, from the bottom left
    assert np.allclose(edges, [4 * 45, 4 * 35, 4 * 65, 4 * 55], atol=3)


def test_nothing_runs_and_nothing_pops_up(tmp_path: Path) -> None:
    action = "/S /JavaScript /JS (this.getField('a').value = 'no'; app.alert('no');)"
    objects = document(f"{TEXT} /AA << /F << {action} >> /C << {action} >> >>", "7 0 R", PLAIN)
    quiet = shown(objects, tmp_path)
    objects[1] = objects[1].replace("/Catalog", f"/Catalog /OpenAction << {action} >>")
    objects[3] = objects[3].replace("/Annots [6 0 R]", f"/Annots [6 0 R 20 0 R 21 0 R] /AA << /O << {action} >> >>")
    objects[20] = "<< /Type /Annot /Subtype /Text /Rect [0 0 1 1] /Contents (note) /Popup 21 0 R /F 2 >>"
    objects[21] = "<< /Type /Annot /Subtype /Popup /Rect [40 30 160 60] /Parent 20 0 R /Contents (note) >>"
    assert np.array_equal(shown(objects, tmp_path), quiet)


@pytest.mark.parametrize("packed", [False, True])
def test_pages_without_a_form_are_as_pdfium_draws_them(packed: bool, tmp_path: Path) -> None:
    import pypdfium2 as pdfium

    objects = pdfs.page(content=CONTENT, notes="20 0 R 21 0 R 22 0 R")
    quads = "/QuadPoints [5 95 40 95 5 80 40 80]"
    objects[20] = f"<< /Type /Annot /Subtype /Highlight /Rect [5 80 40 95] {quads} /C [1 1 0] /Contents (mark) >>"
    objects[21] = "<< /Type /Annot /Subtype /Square /Rect [50 20 90 60] /C [1 0 0] /IC [0 0 1] /F 4 >>"
    objects[22] = "<< /Type /Annot /Subtype /Link /Rect [10 10 40 40] /Border [0 0 2] >>"
    data = pdfs.written(objects, packed)
    (tmp_path / "plain.pdf").write_bytes(data)
    (page,) = pdf_pages(tmp_path / "plain.pdf", 144, None, PageCache(tmp_path / "pages"))
    plain = pdfium.PdfDocument(data)[0].render(scale=2).to_pil()
    assert page.tobytes() == plain.tobytes()
