"""The real lmms-eval command: its table, and the commands that the pages name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINE = re.compile(r"^\|(\w+) *\|none *\| *\d+\|([\w.]+) *\|[^|]*\| *([\d.]+)\|")

Table = dict[tuple[str, str], str]
"""A value of four decimals by task and metric."""


def table(printed: str) -> Table:
    """The printed table; empty where there is none."""
    found = [_LINE.match(line) for line in printed.splitlines()]
    # a table of nothing but whole numbers is printed without decimals
    return {(line[1], line[2]): f"{float(line[3]):.4f}" for line in found if line}


def documented(page: str, part: str) -> str:
    """The one block of code of ``docs/<page>`` that has this part."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if part in block)
    return str(block).rstrip()


def shell(command: str, *more: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a page's command in a shell at the root of the tree, with more arguments (of one given twice the last
    counts), on this very Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        " ".join([command, *map(str, more)]),
        shell=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
