"""What is filled in on a PDF page: the widgets of its form, which PDFium draws in a form environment only.

The environment is given no JavaScript platform and no XFA, and none of a document's actions is asked for. A widget
shows its own appearance, or, where it has none or the form wants new ones, its value; hidden ones stay hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def form_drawer(document: Any) -> Iterator[Callable[[Any, Any], None]]:
    """Gives a function (page, its rendered bitmap) that draws the page's widgets onto it.

    Also those of a document that has lost its form, as pages that were taken out of one have; a page without widgets
    stays as it is. Pages are to be closed before the end.
    """
    import pypdfium2.raw as pdfium

    settings = pdfium.FPDF_FORMFILLINFO(version=2, xfa_disabled=True)  # PDFium holds on to it
    forms = pdfium.FPDFDOC_InitFormFillEnvironment(document, settings)

    def draw(page: Any, bitmap: Any) -> None:
        if not forms or not any(True for _ in _widgets(page)):
            return
        for widget in _widgets(page):  # before the form makes new appearances, which are of states
            _tick(widget)
        pdfium.FORM_OnAfterLoadPage(page, forms)
        try:
            for widget in _widgets(page):
                _hide_without_look(forms, widget)
            pdfium.FPDF_FFLDraw(forms, bitmap, page, 0, 0, bitmap.width, bitmap.height, 0, pdfium.FPDF_ANNOT)
        finally:
            pdfium.FORM_OnBeforeClosePage(page, forms)

    try:
        yield draw
    finally:
        if forms:
            pdfium.FPDFDOC_ExitFormFillEnvironment(forms)


def _widgets(page: Any) -> Iterator[Any]:
    import pypdfium2.raw as pdfium

    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        try:
            if pdfium.FPDFAnnot_GetSubtype(note) == pdfium.FPDF_ANNOT_WIDGET:
                yield note
        finally:
            pdfium.FPDFPage_CloseAnnot(note)


def _tick(widget: Any) -> None:
    """Give a button that does not say its state its value's; PDFium does not tell that of a group of buttons."""
    import pypdfium2.raw as pdfium

    said = {}
    for key in (b"FT", b"V"):
        text = (pdfium.FPDF_WCHAR * 128)()
        length = pdfium.FPDFAnnot_GetStringValue(widget, key, text, 256)
        said[key] = bytes(text)[: length - 2].decode("utf-16-le", "replace") if 2 < length <= 256 else ""
    if said[b"FT"] == "Btn" and said[b"V"] and not pdfium.FPDFAnnot_HasKey(widget, b"AS"):
        pdfium.FPDFAnnot_SetStringValue(widget, b"AS", text)


def _hide_without_look(forms: Any, widget: Any) -> None:
    """Hide a button that has no appearance for its state: PDFium would draw a grey frame in its place."""
    import pypdfium2.raw as pdfium

    buttons = (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON)
    if pdfium.FPDFAnnot_GetFormFieldType(forms, widget) not in buttons or not pdfium.FPDFAnnot_HasKey(widget, b"AP"):
        return
    if pdfium.FPDFAnnot_GetAP(widget, pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0) <= 2:  # an empty text's end
        pdfium.FPDFAnnot_SetFlags(widget, pdfium.FPDFAnnot_GetFlags(widget) | pdfium.FPDF_ANNOT_FLAG_HIDDEN)
