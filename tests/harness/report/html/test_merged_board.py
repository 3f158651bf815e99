"""A merged board of five invented models on eight tasks under twenty conditions is quick to see and open to all."""

from __future__ import annotations

import statistics
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import browser
import invented_runs
import pytest

from coreheads.heads.profile import HeadProfile
from coreheads.leaderboard import build
from coreheads.report.html import page as html
from coreheads.store.board import Board

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]

BYTES = 2_500_000
PAINT = 1000
"""Milliseconds until something is seen."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Board, Path]:
    """What ``coreheads leaderboard`` makes of five run folders, and its page."""
    folder = tmp_path_factory.mktemp("merged")
    runs = invented_runs.write(folder / "runs")
    content = build.build(runs)
    names = [run.path.name for run in runs]
    profiles = {(name, name): HeadProfile.load(folder / "runs" / name / "heads" / f"{name}.json") for name in names}
    (folder / "leaderboard.html").write_text(html.page({**content}, profiles))
    return content, folder / "leaderboard.html"


def test_every_condition_of_every_run_is_a_row(board: tuple[Board, Path]) -> None:
    content, path = board
    assert len(invented_runs.conditions()) == 20
    assert len(content["rows"]) == 5 * 8 * 20
    assert content["failed"] == []
    assert {line["model"] for line in content["overall"]} == {*invented_runs.MODELS}
    assert any(claim["verdict"] == "holds" for claim in content["claims"])
    assert path.stat().st_size < BYTES


def test_it_is_seen_within_a_second(driver: Any, board: tuple[Board, Path]) -> None:
    seen = []
    for _ in range(5):
        driver.get("about:blank")
        browser.visit(driver, board[1])
        paints = "return performance.getEntriesByType('paint').map((entry) => [entry.name, entry.startTime])"
        seen.append(dict(driver.execute_script(paints))["first-contentful-paint"])
    assert statistics.median(seen) < PAINT, seen
    assert browser.faults(driver) == []


AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
  (found) => done({ passes: found.passes.length, violations: found.violations.map(
    (v) => [v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 200)]) }),
  (error) => done({ error: String(error) }));
"""


def judged(driver: Any) -> dict[str, Any]:
    """What axe finds in the page."""
    driver.execute_script((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    driver.set_script_timeout(240)
    found: dict[str, Any] = driver.execute_async_script(AXE)
    assert "error" not in found
    assert found["passes"] > 20
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1400])
def test_it_is_accessible(driver: Any, board: tuple[Board, Path], width: int, dark: bool) -> None:
    browser.resize(driver, width, 900)
    browser.scheme(driver, dark)
    driver.get("about:blank")
    browser.visit(driver, board[1])
    # one model's part of everything, as what is closed or filtered out is not judged
    driver.execute_script(
        "const model = document.querySelector('[name=model]'); model.value = 'invented-8B';"
        "model.dispatchEvent(new Event('input', { bubbles: true }));"
        "for (const box of document.querySelectorAll('details')) box.open = true;"
    )
    browser.draw_all(driver)
    assert [rule for rule in judged(driver)["violations"] if rule[1] in ("serious", "critical")] == []
    assert browser.faults(driver) == []
    spoilt = (
        "document.querySelector('.lead').style.color = arguments[0]; document.querySelector('nav').append(new Image());"
    )
    driver.execute_script(spoilt, "#303030" if dark else "#d0d0d0")
    assert {"color-contrast", "image-alt"} <= {rule[0] for rule in judged(driver)["violations"]}, "what is bad is found"


@pytest.mark.parametrize("width", [390, 1024, 1400])
def test_everything_is_reached_by_the_keyboard_in_the_order_of_the_page(
    driver: Any, board: tuple[Board, Path], width: int
) -> None:
    browser.resize(driver, width, 900)
    driver.get("about:blank")
    browser.visit(driver, board[1])
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    where = (
        "const e = document.activeElement;"
        "return [e.tagName, e.textContent.slice(0, 20), e.name || '', e.getBoundingClientRect().top + scrollY]"
    )
    stops = []
    for _ in range(24):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        stops.append(driver.execute_script(where))
    names = [name for _, _, name, _ in stops]
    assert {"model", "task"} <= {*names}
    assert any(tag == "SUMMARY" and text == "Columns" for tag, text, _, _ in stops)
    assert any(tag == "BUTTON" and text == "CSV" for tag, text, _, _ in stops)
    heights = [top for *_, top in stops]
    assert all(later >= earlier - 60 for earlier, later in pairwise(heights)), stops
