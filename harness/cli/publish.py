"""``coreheads publish``: a folder for a web server or a static Space."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    runs: list[Path] = typer.Argument(metavar="RUN...", help="Run folders."),
    to: Path = typer.Option(help="An empty folder, or one that was published into before."),
    title: str = typer.Option("CoRe heads leaderboard", help="Of a new site."),
    license: str = typer.Option("apache-2.0", help="Of a new site, as its README names it."),
    no_responses: bool = typer.Option(False, "--no-responses", help="Leave out what models answered; scores stay."),
    no_pictures: bool = typer.Option(
        False, "--no-pictures", help="Leave out examples and samples' pictures, which show benchmark data."
    ),
) -> None:
    """Write a site with the board of these runs and of all that were published into the folder before.

    The folder can be pushed as it is as a static Hugging Face Space, or served by any web server. It holds what every
    row was computed from, answers included. Paths of this machine are shortened to their last part.

    Example: coreheads publish results/runs/embedded --to site
    """
    from coreheads.cli.output import say
    from coreheads.files import write_errors
    from coreheads.leaderboard.publish import publish
    from coreheads.store.folder import RunFolder

    folders = [RunFolder.load(run) for run in runs]
    with write_errors(to):
        board = publish(folders, to, title, license, not no_responses, not no_pictures)
    for remark in board["remarks"]:
        say(remark)
    if board["left_out"]:
        say(f"Left out: {len(board['left_out'])} entries, listed on the page and in leaderboard.json")
    say(f"{len(board['rows'])} rows of {len(board['runs'])} run(s): {to / 'index.html'}")
