"""One browser for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import browser
import pytest


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser.browser() as found:
        yield found
