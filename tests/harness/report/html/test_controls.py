"""Every control of the page in a real browser: what it does, what the address says of it, and that "back" undoes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import browser
import page_boards
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """Two models, two tasks, a dozen methods; a task that is on the hub."""
    content = page_boards.rivals(("alpha", "beta"), tasks=2)
    for line in content["rows"]:
        line["task"] = {"coreheads_task_0": "coreheads_refcocog"}.get(line["task"], line["task"])
    profiles = {"alpha": page_boards.random_profile(6, 16)}
    heads = page_boards.board([], profiles)["heads"]
    return content | {"heads": [heads[0] | {"id": "someone/alpha"}]}


@pytest.fixture(scope="module")
def path(board: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_boards.write(tmp_path_factory.mktemp("board"), board, places={"run": "runs/a%20run/"})


@pytest.fixture
def page(driver: Any, path: Path) -> Iterator[Any]:
    """Freshly opened, 1400 pixels wide."""
    browser.resize(driver, 1400, 1000)
    driver.get("about:blank")
    browser.visit(driver, path)
    yield driver
    assert browser.faults(driver) == []


def chosen(driver: Any) -> dict[str, str]:
    """What the address says."""
    found = parse_qs(driver.execute_script("return location.hash.slice(1)"))
    return {name: value for name, (value,) in found.items()}


def choose(driver: Any, name: str, value: str) -> None:
    script = "const s = document.querySelector(`[name=${arguments[0]}]`); s.value = arguments[1];"
    driver.execute_script(script + "s.dispatchEvent(new Event('input', { bubbles: true }));", name, value)


def back(driver: Any, name: str, value: str | None) -> None:
    """The browser's own button; waits until the address says this."""
    driver.execute_script("history.back()")  # a driver's own skips what no hand has done
    browser.wait(driver, f"return new URLSearchParams(location.hash.slice(1)).get('{name}') === {json.dumps(value)}")


def headings(driver: Any, table: str) -> list[str]:
    script = "return [...document.querySelectorAll(`#${arguments[0]} thead th`)].map((th) => th.textContent.trim())"
    found: list[str] = driver.execute_script(script, table)
    return found


def lines(driver: Any, table: str) -> list[list[str]]:
    script = "const trs = [...document.querySelectorAll(`#${arguments[0]} tbody tr:not(.dtrg-group)`)];"
    found: list[list[str]] = driver.execute_script(
        script + "return trs.map((tr) => [...tr.cells].map((td) => td.innerText))", table
    )
    return found


def click(driver: Any, selector: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_a_filter_is_in_the_address_and_back_undoes_it(page: Any) -> None:
    whole = len(lines(page, "board")), len(lines(page, "ranked"))
    opened = "return [...document.querySelectorAll('details.model')].map((box) => box.open)"
    assert page.execute_script(opened) == [True, False]
    choose(page, "model", "beta")
    assert page.execute_script(opened) == [True, True], "a model that is asked for is shown"
    choose(page, "task", "coreheads_refcocog")
    choose(page, "patch", "hybrid")
    assert chosen(page) == {"model": "beta", "task": "coreheads_refcocog", "patch": "hybrid"}
    assert len(lines(page, "board")) < whole[0] / 4
    assert len(lines(page, "ranked")) == whole[1] / 2
    assert (
        page.execute_script("return [...document.querySelectorAll('.findings li')].filter((li) => !li.hidden).length")
        == 1
    )
    back(page, "patch", None)
    assert page.execute_script("return document.querySelector('[name=patch]').value") == ""
    back(page, "task", None)
    back(page, "model", None)
    assert (len(lines(page, "board")), len(lines(page, "ranked"))) == whole
    page.execute_script("history.forward()")
    browser.wait(page, "return document.querySelector('[name=model]').value === 'beta'")
    click(page, "#reset")
    assert (len(lines(page, "board")), len(lines(page, "ranked"))) == whole
    assert "model" not in chosen(page)


def test_a_link_shows_what_its_sender_saw(page: Any, path: Path) -> None:
    choose(page, "model", "alpha")
    page.find_element("name", "search").send_keys("dart")
    page.find_element("name", "grouped").click()
    click(page, "#board thead th:nth-child(4)")
    click(page, "#ranked thead th:nth-child(4)")
    click(page, "#ranking-tools summary")
    click(page, "#ranking-tools [name=column-loyalty]")
    click(page, "nav a[href='#claims']")
    wanted = {"model": "alpha", "search": "dart", "grouped": "no", "at": "claims", "ranking.sort": "score desc"}
    assert wanted.items() <= chosen(page).items()
    assert "loyalty" not in chosen(page)["ranking.columns"]
    seen = [(headings(page, name), lines(page, name)) for name in ("ranked", "board")]
    address = page.execute_script("return location.href")
    page.get("about:blank")
    page.get(address)
    browser.wait(page, "return document.documentElement.dataset.ready === 'yes'")
    assert [(headings(page, name), lines(page, name)) for name in ("ranked", "board")] == seen
    assert page.execute_script("return document.getElementById('claims').getBoundingClientRect().top") < 100
    assert page.execute_script("return document.querySelector('[name=search]').value") == "dart"


def test_a_plain_fragment_is_a_place(driver: Any, path: Path) -> None:
    driver.get("about:blank")
    driver.get(f"{path.resolve().as_uri()}#claims")
    browser.wait(driver, "return document.documentElement.dataset.ready === 'yes'")
    assert driver.execute_script("return document.activeElement.id") == "claims"
    assert driver.execute_script("return document.querySelector('[name=model]').value") == ""


@pytest.mark.parametrize("fragment", ["model=nobody&ranking.sort=x+y&rows.columns=z&open=q&at=r", "%E0%A4%A=1", "=&&="])
def test_an_address_that_names_nothing_shows_everything(driver: Any, path: Path, fragment: str) -> None:
    driver.get("about:blank")
    driver.get(f"{path.resolve().as_uri()}#{fragment}")
    browser.wait(driver, "return document.documentElement.dataset.ready === 'yes'")
    assert len(lines(driver, "ranked")) > 10
    assert driver.execute_script("return document.querySelector('[name=model]').value") == ""
    assert browser.faults(driver) == []


def test_search_reads_words_and_no_numbers(page: Any) -> None:
    choose(page, "search", "0.9")
    assert lines(page, "board") == [["No row fits the filters."]]
    choose(page, "search", "a GPU")
    assert len(lines(page, "board")) > 50
    choose(page, "search", "coreheads_task_1")
    assert 50 < len(lines(page, "board")) < 200
    back(page, "search", None)


@pytest.mark.parametrize(("width", "least"), [(1400, 9), (1024, 7), (390, 3)])
def test_the_columns_fit_and_the_speedup_is_seen(driver: Any, path: Path, width: int, least: int) -> None:
    browser.resize(driver, width, 900)
    driver.get("about:blank")
    browser.visit(driver, path)
    for name in ("ranked", "board"):
        assert {"condition", "prefill speedup", "score"} <= {*headings(driver, name)}
        assert len(headings(driver, name)) >= least
        box = f"const box = document.querySelector('#{name}').closest('.scroll');"
        assert driver.execute_script(box + "return box.scrollWidth - box.clientWidth") <= 0


def test_columns_are_chosen_and_given_back(page: Any) -> None:
    usual = headings(page, "board")
    assert "ceiling" not in usual
    click(page, "#tools summary")
    click(page, "#tools [name=column-ceiling]")
    assert "ceiling" in headings(page, "board")
    browser.resize(page, 390, 900)
    assert "ceiling" in headings(page, "board"), "what was chosen stays at any width"
    browser.resize(page, 1400, 1000)
    click(page, "#tools fieldset button")
    assert headings(page, "board") == usual
    assert "rows.columns" not in chosen(page)
    browser.resize(page, 390, 900)
    browser.wait(
        page, "return ![...document.querySelectorAll('#board thead th')].some((th) => th.textContent === 'work')"
    )
    page.find_element("css selector", "#tools summary").send_keys("\ue00c")  # Escape
    assert not page.execute_script("return document.querySelector('#tools details').open")


def saved(driver: Any, folder: Path, selector: str, name: str) -> str:
    """The text of a download."""
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    (folder / name).unlink(missing_ok=True)
    click(driver, selector)
    for _ in range(100):
        if (folder / name).exists() and (text := (folder / name).read_text()):
            return text
        browser.wait(driver, "return new Promise((done) => setTimeout(() => done(true), 100))")
    raise AssertionError(f"{name} was not written")


def test_downloads_hold_the_shown_lines(page: Any, board: dict[str, Any], tmp_path: Path) -> None:
    choose(page, "model", "beta")
    choose(page, "search", "dart")
    page.find_element("name", "grouped").click()
    click(page, "#board thead th:nth-child(4)")
    rows = json.loads(saved(page, tmp_path, "#tools [data-save=json]", "rows.json"))
    wanted = [row for row in board["rows"] if row["model"] == "beta" and row["patch"] == "dart"]
    assert sorted(rows, key=str) == sorted(wanted, key=str)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in wanted), reverse=True)
    found = list(csv.DictReader(io.StringIO(saved(page, tmp_path, "#tools [data-save=csv]", "rows.csv"))))
    assert [float(line["score"]) for line in found] == [row["score"] for row in rows]
    assert [float(line["score_low"]) for line in found] == [row["score_ci"][0] for row in rows]
    ranked = json.loads(saved(page, tmp_path, "#ranking-tools [data-save=json]", "ranking.json"))
    assert ranked == [line for line in board["overall"] if line["model"] == "beta"]
    text = saved(page, tmp_path, "#ranking-tools [data-save=csv]", "ranking.csv")
    assert [line["condition"] for line in csv.DictReader(io.StringIO(text))] == [line["condition"] for line in ranked]


def test_links_lead_to_model_data_paper_and_files(page: Any, board: dict[str, Any]) -> None:
    found = page.execute_script("return [...document.querySelectorAll('main a')].map((a) => a.getAttribute('href'))")
    assert "https://huggingface.co/someone/alpha" in found
    assert "https://huggingface.co/datasets/lmms-lab-encoder/RefCOCOg" in found
    assert "https://arxiv.org/abs/2606.05843" in found
    assert {"runs/a%20run/manifest.json", "runs/a%20run/cells.jsonl", "runs/a%20run/samples/cell.jsonl"} <= {*found}


def test_the_citation_is_copied_or_selected(page: Any) -> None:
    click(page, "#copy")
    browser.wait(page, "return document.getElementById('copied').value !== ''")
    assert "eprint        = {2606.05843}" in page.execute_script("return document.getElementById('bibtex').textContent")


def test_the_best_of_a_column_is_marked(page: Any, board: dict[str, Any]) -> None:
    choose(page, "model", "alpha")
    place = headings(page, "ranked").index("prefill speedup") + 1
    marked = page.execute_script(
        f"return [...document.querySelectorAll('#ranked td:nth-child({place}) b')].map((b) => b.innerText)"
    )
    fastest = max(line["prefill_speedup"] for line in board["overall"] if line["model"] == "alpha")
    assert [float(text.split()[0].rstrip("x")) for text in marked] == [pytest.approx(fastest, abs=0.01)] * 10
    assert "busy machine" in page.execute_script("return document.getElementById('ranked').innerText")
