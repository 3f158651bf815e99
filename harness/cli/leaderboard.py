"""``coreheads leaderboard``: the board again, from stored cells."""

from __future__ import annotations

from pathlib import Path

import typer

SHOWN = 20
"""How many lines on what is left out are printed."""


def command(
    runs: list[Path] = typer.Argument(metavar="RUN...", help="Run folders, also of several machines."),
    out: Path = typer.Option(help="Where to write leaderboard.json, .csv, .md, .html, figures and answers."),
    asked: bool = typer.Option(
        False,
        "--asked",
        help="Into run folders that do not hold what was asked, store it: from the benchmark's data on this machine.",
    ),
) -> None:
    """Write the leaderboard of one or several runs from what they stored; no model is loaded.

    Speeds and deltas are always those of one run: nothing is divided by a number of another machine. Where two runs
    hold the same cell of the same device, the newer one counts. What is left out is printed.

    Example: coreheads leaderboard results/runs/embedded --out board

    Example: coreheads leaderboard runs/a100 runs/h100 --out board
    """
    from coreheads.cli.output import say
    from coreheads.files import write_errors
    from coreheads.leaderboard.build import write
    from coreheads.report.left_out import sentences
    from coreheads.store.folder import RunFolder
    from coreheads.store.outputs import check_board

    check_board("--out", out)
    folders = [RunFolder.load(run) for run in runs]
    if asked:
        from coreheads.leaderboard.asked import store

        for folder in folders:
            with write_errors(folder.path):
                store(folder, say, check=True)
    with write_errors(out):
        board = write(folders, out)
    for remark in board["remarks"]:
        say(remark)
    left_out = sentences(board["left_out"])
    for sentence in left_out[:SHOWN]:
        say(f"Left out: {sentence}")
    if len(left_out) > SHOWN:
        say(f"Left out: {len(left_out) - SHOWN} more, see left_out in {out / 'leaderboard.json'}")
    say(f"{len(board['rows'])} rows of {len(folders)} run{'s' * (len(folders) > 1)}: {out / 'leaderboard.html'}")
