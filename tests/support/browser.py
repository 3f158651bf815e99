"""A headless Chromium without a network, for the tests of pages; None where this machine has none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """Why there is no browser to test with; empty where there is one."""
    if not any(map(shutil.which, BROWSERS)):
        return f"no browser on this machine, expected one of {', '.join(BROWSERS)}"
    return "" if shutil.which("chromedriver") else "no chromedriver on this machine"


@contextmanager
def browser(width: int = 1400, height: int = 1000, dark: bool = False) -> Iterator[Any]:
    """A selenium driver whose page is ``width`` x ``height`` CSS pixels; every name resolves to nothing."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    for flag in (*flags, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        resize(driver, width, height)
        scheme(driver, dark)
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def scheme(driver: Any, dark: bool) -> None:
    """What the page is told of the user's wish for light or dark."""
    wish = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})


def visit(driver: Any, page: Path) -> None:
    """Open a page from disk, and wait until its script is done and all charts are drawn."""
    driver.get(page.resolve().as_uri())
    wait(driver, "return document.documentElement.dataset.ready === 'yes'")


def draw_all(driver: Any) -> None:
    """Have every chart drawn, as for printing, whether it is in view or not."""
    driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    wait(driver, "return [...document.querySelectorAll('.chart')].every((box) => box.dataset.drawn === 'done')")


def wait(driver: Any, condition: str, seconds: float = 60) -> Any:
    """The value of a script as soon as it is true; fails when it never is."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.1).until(lambda d: d.execute_script(condition), f"never true: {condition}")


def faults(driver: Any) -> list[str]:
    """What the console holds of errors and warnings."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def screenshot(driver: Any, path: Path) -> None:
    """The whole page, not only what is in view."""
    import base64

    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))
