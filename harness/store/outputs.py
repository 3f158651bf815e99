"""Where a command may write: over what it has written before, never over its own input or any other file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from coreheads.errors import UserError

HEAD = 4096
"""Bytes by which a file is recognised."""

_WRITTEN = {
    "a JUnit file of coreheads check": rb'\s*<\?xml[^>]*\?>\s*<testsuite name="coreheads check"',
    "a JSON report of coreheads check": rb'\{\s*"schema_version": \d+,\s*"ok": ',
    "a file of coreheads bench": rb'\{\s*("schema_version": \d+,\s*"rows"|"command"): ',
    "a head profile": rb'\{\s*"schema_version": \d+,\s*"model": ',
    "a file of head windows": rb'\{\s*"schema_version": \d+,\s*"sink": ',
    "claims": rb'\{\s*"schema_version": \d+,\s*"claims": ',
    "a comparison": rb"A  [^\n]*: ",
    "a PNG picture": rb"\x89PNG\r\n",
    "a board's leaderboard.json": rb'\{\s*"schema_version": \d+,\s*"rows": ',
    "a board's leaderboard.csv": rb'model,task,|(?:"")?\s*$',
    "a board's leaderboard.md": rb"# Leaderboard: ",
    "answers of a board": rb'\{"schema_version":\d+,"run":',
    "a board's leaderboard.html": rb"\s*<!doctype html>[^\0]*<title>coreheads: ",
}


def check_output(option: str, path: Path, what: str, others: Mapping[str, Path]) -> None:
    """UserError where ``path`` is not to be written.

    Args:
        option: Of the command line.
        path: What it names.
        what: Which kind of file is written there, one of ``_WRITTEN``: an older one, or an empty file, is replaced.
        others: Files that the same command reads or writes, in words: "the baseline".
    """
    for name, other in others.items():
        if same_file(path, other):
            raise UserError(f"{option} is {path}, {name} itself, expected another file")
    if path.is_dir():
        raise UserError(f"{option} is {path}, a folder, expected the name of a file such as {path / 'report'}")
    if not path.exists():
        return
    if not path.is_file():
        raise UserError(f"{option} is {path}, which is no regular file, expected a new file or {what}")
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if head and not re.match(_WRITTEN[what], head):
        raise UserError(f"{option} is {path}, which is there and is something else, expected a new file or {what}")


def check_board(option: str, folder: Path) -> None:
    """UserError where one of a board's files in the folder is not to be written."""
    for kind in ("json", "csv", "md", "html"):
        check_output(option, folder / f"leaderboard.{kind}", f"a board's leaderboard.{kind}", {})
    for path in folder.glob("figures/*-*.png"):
        if re.fullmatch(r"(heads|ablation|speed|overall|work|cache)-\d+\.png", path.name):
            check_output(option, path, "a PNG picture", {})
    for path in folder.glob("answers/*.json"):
        check_output(option, path, "answers of a board", {})


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths mean one file."""
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, RuntimeError, ValueError):  # links in a circle, names too long
        return False
