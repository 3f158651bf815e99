"""The page in a real browser: sorts, filters, hovers, draws; light and dark, wide and narrow; text stays text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import browser
import page_boards
import pytest

from coreheads.report import palette

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: two models with a task of which one has scores above 10, hostile names, a large board."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("plain", "hostile", "large")}
    found = page_boards.rows(model="alpha", task="easy") + page_boards.rows(model="beta", task="hard")
    for line in found[-3:]:
        line["score"] *= 20
        line["score_ci"] = [20 * bound for bound in line["score_ci"]]
    profiles = {"alpha": page_boards.random_profile(6, 16), "beta": page_boards.random_profile(4, 8)}
    return {
        "plain": page_boards.write(folders["plain"], page_boards.board(found, profiles), profiles),
        "hostile": page_boards.hostile(folders["hostile"]),
        "large": page_boards.large(folders["large"]),
    }


@pytest.fixture
def page(driver: Any, pages: dict[str, Path]) -> Any:
    """The plain page, freshly opened, 1400 pixels wide."""
    browser.resize(driver, 1400, 1000)
    browser.scheme(driver, dark=False)
    browser.visit(driver, pages["plain"])
    yield driver
    assert browser.faults(driver) == []


COLUMN = "const n = [...document.querySelectorAll('#board thead th')].findIndex((th) => th.innerText.trim() === '{}');"
CELLS = "return [...document.querySelectorAll('#board tbody tr:not(.dtrg-group)')].map((tr) => tr.cells[n].innerText);"


def column(driver: Any, name: str) -> list[str]:
    """A column's texts as they stand in the page."""
    texts: list[str] = driver.execute_script(COLUMN.format(name) + CELLS)
    return texts


def scores(driver: Any) -> list[float]:
    return [float(text.split()[0]) for text in column(driver, "score")]


def click(driver: Any, name: str) -> None:
    driver.execute_script(COLUMN.format(name) + "document.querySelectorAll('#board thead th')[n].click();")


def choose(driver: Any, name: str, value: str) -> None:
    driver.execute_script(
        "const s = document.querySelector(`[name=${arguments[0]}]`); s.value = arguments[1];"
        "s.dispatchEvent(new Event('input', { bubbles: true }));",
        name,
        value,
    )


def test_rows_stand_grouped_by_model_and_task(page: Any) -> None:
    titles = page.execute_script("return [...document.querySelectorAll('tr.dtrg-group b')].map((b) => b.innerText)")
    assert titles == ["alpha · easy", "beta · hard"]
    assert "model" not in page.execute_script("return document.querySelector('#board thead').innerText")
    assert column(page, "condition")[0].startswith("dense")


def test_sorting_is_by_number_within_groups_and_over_all(page: Any) -> None:
    before = scores(page)
    click(page, "score")
    assert scores(page) == [*sorted(before[:20], reverse=True), *sorted(before[20:], reverse=True)]
    page.find_element("name", "grouped").click()
    assert scores(page) == sorted(before, reverse=True)
    assert max(before) > 10  # as text it would stand behind 9
    click(page, "score")
    assert scores(page) == sorted(before)
    click(page, "score")
    assert scores(page) == before
    assert column(page, "model") == ["alpha"] * 20 + ["beta"] * 20


@pytest.mark.parametrize("name", ["change", "prefill speedup"])
def test_columns_whose_first_cell_is_empty_are_sorted_by_number(page: Any, name: str) -> None:
    page.find_element("name", "grouped").click()
    click(page, name)
    found = [float(text.split()[0].rstrip("x")) for text in column(page, name) if text]
    assert len(found) > 3
    assert found == sorted(found, reverse=True)
    click(page, name)
    assert [float(text.split()[0].rstrip("x")) for text in column(page, name) if text] == sorted(found)


def test_filters_and_search_leave_rows_out(page: Any) -> None:
    assert len(scores(page)) == 40
    choose(page, "model", "beta")
    assert len(scores(page)) == 20
    assert page.execute_script("return document.getElementById('shown').value") == "20 of 40 rows"
    assert page.execute_script(
        "const shown = [...document.querySelectorAll('.card:not(.all)')].filter((c) => !c.hidden);"
        "return shown.length === 3 && shown.every((c) => c.dataset.model === 'beta')"
    )
    choose(page, "patch", "hybrid")
    assert all(text.startswith("hybrid") for text in column(page, "condition"))
    assert len(scores(page)) == 7
    choose(page, "search", "40 %")
    assert len(scores(page)) == 1
    choose(page, "search", "nothing of this kind")
    assert "No row fits" in page.execute_script("return document.querySelector('#board tbody').innerText")
    for name in ("search", "patch", "model"):
        choose(page, name, "")
    assert len(scores(page)) == 40


HEADINGS = (
    "return [...document.querySelectorAll('main h2, main h3, nav a')]"
    ".filter((part) => part.offsetParent).map((part) => part.innerText)"
)


def test_filters_leave_no_heading_without_a_card(driver: Any, tmp_path: Path) -> None:
    untimed = [page_boards.row(model="beta", task="hard"), page_boards.row(model="alpha", task="hard")]
    found = page_boards.rows(model="alpha", task="easy") + untimed
    browser.visit(driver, page_boards.write(tmp_path, page_boards.board(found)))
    everything = driver.execute_script(HEADINGS)
    assert {
        "By task",
        "Task by task",
        "Ablation",
        "With heads switched off",
        "alpha",
    } <= set(everything)
    choose(driver, "task", "hard")
    left = driver.execute_script(HEADINGS)
    assert {"All rows", "How to read this"} <= set(left) < set(everything)
    assert not {
        "By task",
        "Task by task",
        "Ablation",
        "With heads switched off",
        "alpha",
    } & set(left)
    choose(driver, "task", "")
    assert driver.execute_script(HEADINGS) == everything
    assert browser.faults(driver) == []


def hover(driver: Any, mark: str) -> str:
    """The tooltip over a chart's mark, given as a CSS selector."""
    from selenium.webdriver.common.action_chains import ActionChains

    element = driver.execute_script(
        "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'}); return e;", mark
    )
    browser.wait(driver, "return new Promise((done) => requestAnimationFrame(() => done(true)))")
    ActionChains(driver).move_to_element(element).perform()
    browser.wait(driver, "return document.querySelector('#vg-tooltip-element.visible') !== null")
    return str(driver.execute_script("return document.querySelector('#vg-tooltip-element').innerText"))


def test_hovering_tells_what_a_point_is(page: Any) -> None:
    browser.draw_all(page)
    text = hover(page, "#tradeoff .card .mark-symbol path[aria-label*='hybrid: top 1 %']")
    for part in ("alpha", "easy", "0.50 [0.45, 0.55]", "3.20 [3.04, 3.36]x", "4.80x", "4,096", "a GPU", "on it"):
        assert part in text
    text = hover(page, "#ablation .card .mark-symbol path[aria-label*='ablate: top 5 %']")
    assert "0.35 [0.30, 0.39]" in text
    text = hover(page, "#heads .card .mark-rect path[aria-label*='L0H0;']")
    assert "L0H0" in text
    assert re.search(r"rank of 96\s+\d+", text)


def test_charts_show_dense_the_front_and_the_ceiling(page: Any) -> None:
    browser.draw_all(page)
    assert page.execute_script(
        "const marks = 'svg .mark-symbol path, svg .mark-rect path';"
        "return [...document.querySelectorAll('.card')].every((c) => c.querySelector(marks))"
    )
    assert page.execute_script("return document.querySelector('#tradeoff svg').textContent").count("ceiling") == 1
    labels = page.execute_script(
        "return [...document.querySelectorAll('#tradeoff .card .mark-symbol path')].map((p) => p.ariaLabel)"
    )
    dense = [label for label in labels if "method: dense (the model as it is);" in label]
    assert len(dense) == 2
    assert "prefill speedup over the fastest dense kernel (x): 1;" in dense[0]
    # 48 heads of 96 and 32: 5 and 2 outlined
    strokes = "return [...document.querySelectorAll('#heads .mark-rect path')].map((p) => p.getAttribute('stroke'))"
    assert page.execute_script(strokes).count(palette.KINDS["top"]) == 5 + 2


def luminance(colour: str) -> float:
    red, green, blue = (float(value) / 255 for value in re.findall(r"[\d.]+", colour)[:3])
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_dark_and_light_are_both_readable(page: Any) -> None:
    browser.draw_all(page)
    script = (
        "const style = (s) => getComputedStyle(document.querySelector(s));"
        "return [style('body').backgroundColor, style('.card').backgroundColor, style('.card svg text').fill,"
        " style('#board td').color]"
    )
    seen = {}
    for dark in (False, True):
        browser.scheme(page, dark)
        background, card, chart, table = page.execute_script(script)
        seen[dark] = background
        assert contrast(card, chart) > 7
        assert contrast(card, table) > 7
        assert contrast(background, table) > 7
    assert luminance(seen[False]) > 0.8
    assert luminance(seen[True]) < 0.05


@pytest.mark.parametrize("name", ["plain", "hostile", "large"])
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_hangs_over_the_edge(driver: Any, pages: dict[str, Path], name: str, width: int) -> None:
    browser.resize(driver, width, 900)
    browser.visit(driver, pages[name])
    browser.draw_all(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
    # what is wider scrolls in its own box, with the condition in view
    assert driver.execute_script(
        "const box = document.querySelector('.scroll'); box.scrollLeft = 400;"
        "const cell = document.querySelector('#board tbody tr:not(.dtrg-group) th').getBoundingClientRect();"
        "return cell.left >= box.getBoundingClientRect().left - 1 && cell.width > 100 && cell.width < 0.7 * innerWidth"
    )
    assert driver.execute_script(
        "const fits = (s) => s.getBoundingClientRect().width <= s.closest('.card').clientWidth;"
        "return [...document.querySelectorAll('.chart svg')].every(fits)"
    )
    assert browser.faults(driver) == []


def test_markup_in_names_and_answers_stays_text(driver: Any, pages: dict[str, Path]) -> None:
    browser.visit(driver, pages["hostile"])
    browser.draw_all(driver)
    hover(driver, "#tradeoff .card .mark-symbol path")
    click(driver, "score")
    assert driver.title.startswith("coreheads: model </script>")
    # nothing but the two libraries, what is drawn and downloaded, and the page's own script, and no picture
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    types = driver.execute_script("return [...document.scripts].map((s) => s.type)")
    assert sorted(types) == ["module", *["text/plain"] * 4]
    assert driver.execute_script("return document.body.innerText").count(page_boards.EVIL) > 10
    assert page_boards.EVIL in driver.execute_script("return document.querySelector('#vg-tooltip-element').innerText")
    assert browser.faults(driver) == []


@pytest.mark.parametrize("name", page_boards.ODD)
def test_odd_boards_work(driver: Any, name: str, tmp_path: Path) -> None:
    found = page_boards.ODD[name]
    browser.resize(driver, 390, 900)
    browser.visit(driver, page_boards.write(tmp_path, page_boards.board(found)))
    browser.draw_all(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") == 390
    assert len(column(driver, "condition")) == len(found)
    click(driver, "condition")
    assert browser.faults(driver) == []


def test_a_large_board_is_small_enough_and_works(driver: Any, pages: dict[str, Path]) -> None:
    assert pages["large"].stat().st_size < 3_000_000
    browser.resize(driver, 1400, 1000)
    browser.visit(driver, pages["large"])
    assert len(scores(driver)) == 5 * 8 * 20
    click(driver, "score")
    assert browser.faults(driver) == []
