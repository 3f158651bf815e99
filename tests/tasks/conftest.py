"""Data for all tests of the tasks: mini data, trees in published layouts, slices of the real sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trees
from small_data import SMALL

from coreheads.tasks.mini import data


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """$XDG_CACHE_HOME of a user whose mini data is small."""
    home = tmp_path_factory.mktemp("cache")
    data.ensure(sizes=SMALL, cache=home / "coreheads" / "mini")
    return home


@pytest.fixture
def small(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the small data the default; the folder that ``ensure()`` gives."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_cache))
    monkeypatch.setattr(data, "Sizes", lambda: SMALL)
    return data.ensure()


@pytest.fixture
def fixtures() -> Path:
    """Slices of the real benchmarks, which are not part of the repository."""
    folder = os.environ.get("COREHEADS_FIXTURES")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COREHEADS_FIXTURES does not name a folder with slices of the real benchmarks")
    return Path(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the small tree of a real task in its published layout, and gives the data root."""

    def write(name: str) -> Path:
        trees.WRITERS[name](tmp_path)
        return tmp_path

    return write
