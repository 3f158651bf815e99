"""One process at a time in a run's folder: real processes, dead ones, recycled pids, file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coreheads.errors import UserError
from coreheads.store import lock
from coreheads.store.lock import locked

HOLD = (
    "import errno, fcntl, sys, pathlib\n"
    "from coreheads.store.lock import locked\n"
    "def none(*_): raise OSError(errno.ENOLCK, 'none')\n"
    "if sys.argv[2] == 'file': fcntl.flock = none\n"
    "with locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture(params=["system", "file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's locks, and without them."""
    if request.param == "file":

        def unsupported(*_: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", unsupported)
    return str(request.param)


@contextmanager
def holder(folder: Path, way: str) -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path, way: str) -> None:
    with holder(tmp_path, way) as process:
        expected = rf"process {process.pid} on {platform.node()} .*works in this folder now"
        with pytest.raises(UserError, match=expected), locked(tmp_path):
            pytest.fail("two at once")
        process.communicate("")
    with locked(tmp_path) as died:
        assert died is None, "an orderly end is no death"
    assert {path.name for path in tmp_path.iterdir()} <= {"run.lock"}


def test_a_killed_process_is_recognised(tmp_path: Path, way: str) -> None:
    with holder(tmp_path, way) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(tmp_path) as died:
            assert died is not None
            assert (died.pid, died.host) == (process.pid, platform.node())
    with locked(tmp_path) as died:
        assert died is None


def test_a_fault_inside_is_an_orderly_end(tmp_path: Path, way: str) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    with locked(tmp_path) as died:
        assert died is None


def test_a_recycled_pid_is_not_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_mount_options", lambda folder: {"rw", "nolock"})
    marker = tmp_path / "run.pid"
    with locked(tmp_path):
        pid, host, began = marker.read_text().split()
    assert (pid, host) == (str(os.getpid()), platform.node())
    for process, token in ((pid, f"{began}5"), (2**22 + 1, began)):
        marker.write_text(f"{process}\n{host}\n{token}\n")
        with locked(tmp_path):  # the process of that pid is another one, or there is none
            pass
    marker.write_text(f"{pid}\n{host}\n{began}\n")
    with pytest.raises(UserError, match="works in this folder now"), locked(tmp_path):
        pytest.fail("that process lives")


def test_a_file_of_another_machine_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = {"pid": 7, "host": "elsewhere", "since": "yesterday"}
    (tmp_path / "run.owner").write_text(json.dumps(note))
    with locked(tmp_path) as died:  # the lock was free: nobody is there any more
        assert died is not None
        assert str(died) == "process 7 on elsewhere"
    monkeypatch.setattr(lock, "_mount_options", lambda folder: {"rw", "local_lock=all"})
    (tmp_path / "run.owner").write_text(json.dumps(note))
    (tmp_path / "run.pid").write_text("7\nelsewhere\n")
    with pytest.raises(UserError, match=r"process 7 on elsewhere .*delete .*run\.pid"), locked(tmp_path):
        pytest.fail("another machine may be at work")
    assert json.loads((tmp_path / "run.owner").read_text()) == note
    assert (tmp_path / "run.pid").read_text() == "7\nelsewhere\n"


@pytest.mark.parametrize("name", ["run.lock", "run.owner"])
@pytest.mark.parametrize("text", ["", "process 1 on elsewhere", "[1]", '{"pid": "x"}', "[" * 100_000, "\0\xff"])
def test_what_stands_in_the_files_may_be_anything(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_text(text)
    with locked(tmp_path) as died:
        assert died is None


@pytest.mark.parametrize("name", ["run.lock", "run.pid", "run.owner"])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "run" / name).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(UserError, match=name), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_link_put_there_after_the_look_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "run" / "run.owner").symlink_to(tmp_path / "mine.txt")
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with pytest.raises(OSError, match=r"run\.owner"), locked(tmp_path / "run"):
        pytest.fail("a link was followed")
    assert (tmp_path / "mine.txt").read_text() == "mine"
