"""``coreheads leaderboard``: the board again, from stored cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; several are shown side by side.")],
    out: Annotated[Path, typer.Option(help="Where to write leaderboard.json, .csv, .md, .html and figures.")],
) -> None:
    """Write the leaderboard of one or several runs from what they stored; no model is loaded.

    Speeds and deltas are always those of one run: nothing is divided by a number of another machine.

    Example: coreheads leaderboard results/runs/embedded --out board
    """
    from coreheads.leaderboard import write
    from coreheads.run_folder import RunFolder, writing

    folders = [RunFolder.load(run) for run in runs]
    with writing(out):
        board = write(folders, out)
    typer.echo(f"{len(board['rows'])} rows of {len(folders)} run(s): {out / 'leaderboard.html'}")
