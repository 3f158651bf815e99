"""UserUnit: a page is as large as it says, wherever and however it says so, and nonsense is a unit of a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pdfs
import pytest

from coreheads import limits
from coreheads.errors import BadSample
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import pdf_pages
from coreheads.regions import Region
from coreheads.tasks.mmdocir.data import layout_regions

MARK = "0 g 30 60 20 20 re f"
BOX = "/MediaBox [0 0 200 100]"


def shown(objects: dict[int, str], folder: Path, packed: bool = False, dpi: int = 72) -> np.ndarray:
    (folder / "unit.pdf").write_bytes(pdfs.written(objects, packed))
    (page,) = pdf_pages(folder / "unit.pdf", dpi, None, PageCache(folder / "pages"))
    return np.asarray(page.convert("L"))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("unit", "scale"), [("2", 2), ("0.5", 0.5), ("1", 1), ("2.5", 2.5), ("9 0 R", 3), ("+2", 2)])
def test_what_a_page_says(unit: str, scale: float, packed: bool, tmp_path: Path) -> None:
    objects = pdfs.page(f"{BOX} /UserUnit {unit}", MARK) | {9: "3"}
    page = shown(objects, tmp_path, packed)
    assert page.shape == (100 * scale, 200 * scale)
    down, across = np.nonzero(page < 128)
    assert np.allclose([across.min(), across.max() + 1], [30 * scale, 50 * scale], atol=1)
    assert np.allclose([down.min(), down.max() + 1], [20 * scale, 40 * scale], atol=1)


@pytest.mark.parametrize("unit", ["0", "-2", "(2)", "/Two", "[2]", "null", "8 0 R", "3 0 R", ".", "--2"])
def test_what_is_none(unit: str, tmp_path: Path) -> None:
    assert shown(pdfs.page(f"{BOX} /UserUnit {unit}", MARK), tmp_path).shape == (100, 200)


def test_each_page_has_its_own(tmp_path: Path) -> None:
    objects = pdfs.pages(3, BOX)
    objects[4] = objects[4].replace(">>", "/UserUnit 2 >>")
    (tmp_path / "x.pdf").write_bytes(pdfs.written(objects))
    pages = pdf_pages(tmp_path / "x.pdf", 72, None, PageCache(tmp_path / "pages"))
    assert [page.size for page in pages] == [(200, 100), (400, 200), (200, 100)]


def test_words_on_the_page_say_nothing(tmp_path: Path) -> None:
    objects = pdfs.page(BOX, "BT /Helv 10 Tf 5 50 Td (/UserUnit 3) Tj ET\n% /UserUnit 3")
    assert shown(objects, tmp_path).shape == (100, 200)


def test_a_huge_one_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadSample, match=r"unit\.pdf: .*pixels on a page, expected at most"):
        shown(pdfs.page(f"{BOX} /UserUnit 75000"), tmp_path)
    assert limits.PICTURE_PIXELS < 200 * 100 * 75_000**2


@pytest.mark.parametrize("keys", ["", "/UserUnit 2", "/Rotate 90", "/Rotate 270 /UserUnit 2", "/Rotate 180"])
def test_layout_boxes_lie_on_what_they_name(keys: str, tmp_path: Path) -> None:
    """MMDocIR's boxes are points of the page as a reader sees it; the mark is 20 points wide."""
    page = shown(pdfs.page(f"{BOX} {keys}", MARK), tmp_path, dpi=144)
    unit = 2 if "UserUnit" in keys else 1
    size = {"90": (100, 200), "270": (100, 200)}.get(keys.partition("/Rotate ")[2][:3].strip(), (200, 100))
    corner = {"90": (60, 30), "270": (20, 150), "180": (150, 60)}.get(
        keys.partition("/Rotate ")[2][:3].strip(), (30, 20)
    )
    box = [unit * edge for edge in (*corner, corner[0] + 20, corner[1] + 20)]
    published = {"page": 0, "bbox": box, "page_size": [unit * side for side in size]}
    (region,) = layout_regions([published])  # type: ignore[list-item]
    assert region == Region(media=0, box=region.box)
    assert region.box is not None
    height, width = page.shape
    x0, y0, x1, y1 = (round(e * side) for e, side in zip(region.box, (width, height, width, height), strict=True))
    inside = page[y0:y1, x0:x1]
    assert (inside < 128).mean() > 0.9
    assert (page < 128).sum() == pytest.approx((inside < 128).sum(), rel=0.1)
