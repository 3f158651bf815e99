"""Folders of the cache that a process uses stay, others go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from coreheads.cache import hold, remove_unused

HOLDER = """
import pathlib, sys
from coreheads.cache import hold
print(hold(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_what_another_process_holds_stays_until_it_ends(tmp_path: Path) -> None:
    held, free, linked = tmp_path / "held", tmp_path / "free", tmp_path / "linked"
    elsewhere = tmp_path / "elsewhere"
    for folder in (held, free, elsewhere):
        folder.mkdir()
        (folder / "weights").touch()
    linked.symlink_to(elsewhere)
    command = [sys.executable, "-c", HOLDER, str(held)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert remove_unused([held, free, linked, tmp_path / "none"]) == [free]
        other.stdin.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "held", "linked"]
    assert (linked / "weights").exists()
    assert remove_unused([held]) == [held]


def test_what_is_gone_cannot_be_held(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    assert not hold(folder)
    folder.mkdir()
    assert hold(folder)
    assert remove_unused([folder]) == []
    folder.rmdir()
    assert not hold(folder)
