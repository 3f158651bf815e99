"""The samples in a real browser: every control, the keys, links; from disk and served; text stays text."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import answer_files
import browser
import page_boards
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]

CHANGED = ["easy/1", "easy/4", "easy/7", "easy/8"]
KEPT = ["easy/0", "easy/2", "easy/3", "easy/5", "easy/6"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answer_files.write(
        tmp_path_factory.mktemp("plain"), [answer_files.group(), answer_files.group("hard", 5, word="no")]
    )


@pytest.fixture
def opened(driver: Any, page: Path) -> Iterator[Any]:
    browser.resize(driver, 1400, 1000)
    browser.scheme(driver, dark=False)
    driver.get("about:blank")
    browser.visit(driver, page)
    look(driver)
    yield driver
    assert browser.faults(driver) == []


def look(driver: Any) -> None:
    driver.execute_script("document.getElementById('samples').scrollIntoView()")
    ready(driver)


def ready(driver: Any) -> None:
    browser.wait(driver, "return document.getElementById('samples').dataset.ready === 'yes'")


def control(driver: Any, name: str) -> Any:
    return driver.find_element("css selector", f"#samples [name={name}]")


def choose(driver: Any, name: str, text: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(control(driver, name)).select_by_visible_text(text)
    ready(driver)


def ids(driver: Any) -> list[str]:
    found: list[str] = driver.execute_script(
        "return [...document.querySelectorAll('#samples [name=sample] option')].map((o) => o.value)"
    )
    return found


def words(driver: Any, selector: str = "#sample") -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).innerText", selector))


def rows(driver: Any) -> list[list[str]]:
    found: list[list[str]] = driver.execute_script(
        "return [...document.querySelectorAll('#sample tbody tr')].map((tr) => [...tr.cells].map((c) => c.innerText))"
    )
    return found


def state(driver: Any) -> dict[str, str]:
    found: dict[str, str] = driver.execute_script("return coreheads.samplesState()")
    return found


def test_a_sample_shows_its_picture_question_and_every_answer(opened: Any) -> None:
    assert ids(opened) == [*CHANGED, *KEPT]
    said = words(opened)
    for text in ("question 1 yes", "Look. question 1 yes", "target 1 yes", "x 0.25 to 0.50, y 0.50 to 1.00", "page 2"):
        assert text in said
    assert rows(opened) == [
        ["dense (the model as it is)", "right 1 yes", "1"],
        ["hybrid: top 10 % full", "another yes changed", "0.25"],
        ["ablate: top 5 % off", "no text changed", "0"],
        ["hybrid: random 10 % full", "1 random draw of heads, 0 answered otherwise", "1.00"],
    ]
    choose(opened, "sample", "easy/8")
    assert rows(opened)[1] == ["hybrid: top 10 % full", "unscored because yes changed", "unscored"]
    choose(opened, "sample", "easy/2")
    assert "No picture: not ours yes." in words(opened)


def test_the_gold_region_lies_where_it_is(opened: Any) -> None:
    places = opened.execute_script(
        "const [i, g] = ['img', '.gold'].map((s) => document.querySelector('#sample ' + s).getBoundingClientRect());"
        "const [x, y] = [(g.left - i.left) / i.width, (g.top - i.top) / i.height];"
        "return [x, y, g.width / i.width, g.height / i.height, i.width]"
    )
    assert places[:4] == pytest.approx([0.25, 0.5, 0.25, 0.5], abs=0.02)
    assert places[4] > 60
    assert opened.execute_script("return document.querySelector('#sample img').naturalWidth") == 64
    assert "gold region: x 0.25" in opened.execute_script("return document.querySelector('#sample img').alt")
    control(opened, "gold").click()
    assert not opened.find_element("css selector", "#sample .gold").is_displayed()
    assert state(opened)["gold"] == "no"


def test_filters(opened: Any) -> None:
    choose(opened, "method", "hybrid: top 10 % full")
    choose(opened, "show", "changed by it")
    assert ids(opened) == CHANGED
    assert words(opened, "#sample-count") == "1 of 4 that fit"
    choose(opened, "show", "wrong under it")
    assert ids(opened) == CHANGED[:3]
    choose(opened, "show", "better than as it is")
    assert ids(opened) == []
    assert words(opened, "#sample-count") == "None of 9 samples fits"
    choose(opened, "show", "worse than as it is")
    assert ids(opened) == CHANGED[:3]
    choose(opened, "method", "hybrid: random 10 % full")
    assert ids(opened) == []
    choose(opened, "method", "any")
    assert len(ids(opened)) == 9
    control(opened, "search").send_keys("TARGET 4")
    assert ids(opened) == ["easy/4"]
    choose(opened, "group", "hard")
    assert ids(opened) == ["hard/4"]
    assert state(opened) == {"task": "hard", "show": "worse", "search": "TARGET 4"}


def test_the_chosen_condition_stands_second_and_draws_can_be_seen(opened: Any) -> None:
    choose(opened, "method", "ablate: top 5 % off")
    assert [row[0] for row in rows(opened)][:2] == ["dense (the model as it is)", "ablate: top 5 % off"]
    control(opened, "draws").click()
    assert rows(opened)[-1] == ["hybrid: random 10 % full, draw 2", "right 1 yes", "1"]
    control(opened, "draws").click()
    choose(opened, "method", "hybrid: random 10 % full")
    assert rows(opened)[1][0] == "hybrid: random 10 % full, draw 2"


def test_buttons_and_keys_go_from_sample_to_sample(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    before, after = control(opened, "previous"), control(opened, "next")
    assert not before.is_enabled()
    after.click()
    assert state(opened)["sample"] == CHANGED[1]
    box = opened.find_element("id", "sample")
    box.send_keys(Keys.ARROW_RIGHT)
    box.send_keys(Keys.ARROW_RIGHT)
    assert state(opened)["sample"] == CHANGED[3]
    assert words(opened, "#sample-count") == "4 of 9"
    box.send_keys(Keys.ARROW_LEFT)
    before.click()
    assert state(opened)["sample"] == CHANGED[1]
    choose(opened, "sample", KEPT[-1])
    assert not after.is_enabled()
    box.send_keys(Keys.ARROW_RIGHT)
    assert state(opened)["sample"] == KEPT[-1]
    control(opened, "search").send_keys(Keys.ARROW_LEFT)
    assert state(opened)["sample"] == KEPT[-1], "keys in a field are the field's"


def test_every_control_has_a_name(opened: Any) -> None:
    names = opened.execute_script(
        "return [...document.querySelectorAll('#samples :is(select, input, button)')]"
        ".map((c) => c.ariaLabel || [...(c.labels ?? [])].map((l) => l.innerText).join('') || '')"
    )
    assert len(names) == 9
    assert all(name.strip() for name in names)


def test_links_say_what_is_shown(driver: Any, page: Path) -> None:
    wanted = {"task": "hard", "method": "hybrid: top 10 % full", "show": "changed", "draws": "yes", "sample": "hard/4"}
    driver.get("about:blank")
    from urllib.parse import urlencode

    driver.get(f"{page.as_uri()}#{urlencode({f's.{key}': value for key, value in wanted.items()})}")
    ready(driver)
    assert state(driver) == wanted
    driver.execute_async_script(
        "coreheads.setSamplesState({ show: 'no such', sample: 'x', task: 3 }).then(arguments[0])"
    )
    assert state(driver) == {}
    assert browser.faults(driver) == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1024])
def test_narrow_and_dark(driver: Any, page: Path, width: int, dark: bool) -> None:
    browser.resize(driver, width, 900)
    browser.scheme(driver, dark)
    driver.get("about:blank")
    browser.visit(driver, page)
    look(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
    assert driver.execute_script(
        "const w = document.getElementById('sample').getBoundingClientRect().right;"
        "return [...document.querySelectorAll('#sample :is(.frame, dl, .scroll, button, select)')]"
        ".every((e) => e.getBoundingClientRect().right <= w)"
    )
    assert browser.faults(driver) == []


def test_markup_in_questions_and_answers_stays_text(driver: Any, tmp_path: Path) -> None:
    evil = page_boards.EVIL
    group = answer_files.group(f"task {evil}", 4, evil, model=f"model {evil}", run=evil)
    group["metric"], group["notes"] = evil, [evil]
    group["conditions"] = [{**one, "label": f"{one['label']} {evil}"} for one in group["conditions"]]
    for sample in group["samples"]:
        sample["gold"] = [evil]
        for picture in sample["pictures"]:
            picture["label"] = evil
    browser.visit(driver, answer_files.write(tmp_path, [group]))
    look(driver)
    assert driver.title.startswith("coreheads: model </script>")
    assert words(driver).count(evil) > 10
    assert driver.execute_script(
        "return [...document.querySelectorAll('#samples img')].map((i) => i.getAttribute('onerror'))"
    ) == [None]
    assert len(driver.find_elements("css selector", "#samples script")) == 1
    assert browser.faults(driver) == []


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_served_page_fetches_what_it_does_not_hold(driver: Any, tmp_path: Path) -> None:
    whole = [answer_files.group("easy", 50), answer_files.group("hard", 5)]
    part = [{**one, "samples": one["samples"][:3]} for one in whole]
    path = answer_files.write(tmp_path, whole, part)  # type: ignore[arg-type]
    browser.visit(driver, path)
    look(driver)
    assert len(ids(driver)) == 3
    assert "This file holds 3 of 50 samples" in words(driver, "#sample-notes")
    with served(tmp_path) as address:
        driver.get(f"{address}/leaderboard.html")
        look(driver)
        assert len(ids(driver)) == 50
        assert not driver.find_element("id", "sample-notes").is_displayed()
        browser.wait(driver, "return document.querySelector('#sample img').naturalWidth === 64")
        source = driver.execute_script("return document.querySelector('#sample img').src")
        assert source.startswith(f"{address}/answers/")
        choose(driver, "group", "hard")
        assert len(ids(driver)) == 5
        assert [fault for fault in browser.faults(driver) if "favicon" not in fault] == []
        (tmp_path / "answers" / "0.json").unlink()
        driver.get(f"{address}/leaderboard.html?again")
        look(driver)
        assert len(ids(driver)) == 3
        assert "The files beside this page are missing" in words(driver, "#sample-notes")
        assert all("404" in fault for fault in browser.faults(driver))
