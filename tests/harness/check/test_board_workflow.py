"""The workflow that a board's repository copies: its commands, as they stand, in such a repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coreheads.files import read_json
from coreheads.leaderboard.publish import submit
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole processes, and a page

WORKFLOW = Path(__file__).parents[3] / "docs" / "board.yml"
NOBODY = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")


def jobs() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return content


def command(job: str) -> str:
    """The last command of a job, the one after pip's."""
    return [step["run"] for step in jobs()[job]["steps"] if "run" in step][-1]


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *NOBODY, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A repository that has no submission yet, and ``coreheads`` on the path."""
    folder = tmp_path / "board"
    (folder / "submissions").mkdir(parents=True)
    (folder / "submissions" / ".gitkeep").write_text("")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "empty")
    program = tmp_path / "bin" / "coreheads"
    program.parent.mkdir()
    call = f'exec "{sys.executable}" -c "import sys; from coreheads.cli import main; sys.exit(main())" "$@"'
    program.write_text(f"#!/bin/sh\n{call}\n")
    program.chmod(0o755)
    return folder


def run(board: Path, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    """As GitHub runs it."""
    own = {**os.environ, **env, "PATH": f"{board.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return subprocess.run(words, cwd=board, env=own, capture_output=True, text=True, timeout=300)


def test_what_it_may(board: Path) -> None:
    content = yaml.safe_load(WORKFLOW.read_text())
    assert content["permissions"] == {"contents": "read"}
    assert {name for name, job in content["jobs"].items() if "permissions" in job} == {"web"}
    assert "'push'" in content["jobs"]["web"]["if"]
    assert "pull_request_target" not in WORKFLOW.read_text()


def spoilt(folder: Path) -> None:
    (folder / "index.html").write_text("<script>")


def linked(folder: Path) -> None:
    folder.rename(folder.parents[2] / "elsewhere")
    folder.symlink_to(folder.parents[2] / "elsewhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [(None, "ok: submissions/mine: 8 rows"), (spoilt, "index.html: is no file"), (linked, "is a link")],
)
def test_a_pull_request(
    board: Path, finished_run: Path, small_data: Path, change: Callable[[Path], None] | None, said: str
) -> None:
    base = git(board, "rev-parse", "HEAD")
    mine = board / "submissions" / "mine"
    submit(RunFolder.load(finished_run), mine, {"who": "Ada"})
    if change is not None:
        change(mine)
    git(board, "add", "-A")
    git(board, "commit", "-qm", "mine")
    checked = run(board, command("check").replace("--github --", f"--github --data-root '{small_data}' --"), BASE=base)
    assert (checked.returncode == 0) == (change is None), checked.stderr
    assert said in checked.stdout
    if change is not None:
        return
    built = run(board, command("board"))
    assert built.returncode == 0, built.stderr
    assert {row["who"] for row in read_json(board / "site" / "leaderboard.json")["rows"]} == {"Ada"}
    shutil.rmtree(mine)
    git(board, "add", "-A")
    git(board, "commit", "-qm", "taken back")
    gone = run(board, command("check"), BASE=git(board, "rev-parse", "HEAD~1"))
    assert (gone.returncode, gone.stdout) == (0, "")
