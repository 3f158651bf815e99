"""``coreheads publish``: a folder for a web server or a static Space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    to: Annotated[Path, typer.Option(help="An empty folder, or one that was published into before.")],
    title: Annotated[str, typer.Option(help="Of a new site.")] = "CoRe heads leaderboard",
    license: Annotated[str, typer.Option(help="Of a new site, as its README names it.")] = "apache-2.0",
    no_responses: Annotated[
        bool, typer.Option("--no-responses", help="Leave out what models answered; scores stay.")
    ] = False,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Leave out the examples, which show benchmark pictures.")
    ] = False,
) -> None:
    """Write a site with the board of these runs and of all that were published into the folder before.

    The folder can be pushed as it is as a static Hugging Face Space, or served by any web server. It holds what every
    row was computed from, answers included. Paths of this machine are shortened to their last part.

    Example: coreheads publish results/runs/embedded --to site
    """
    from coreheads.files import writing
    from coreheads.leaderboard.publish import publish
    from coreheads.store.folder import RunFolder

    folders = [RunFolder.load(run) for run in runs]
    with writing(to):
        board = publish(folders, to, title, license, not no_responses, not no_pictures)
    for remark in board["remarks"]:
        typer.echo(remark)
    if board["left_out"]:
        typer.echo(f"Left out: {len(board['left_out'])} entries, listed on the page and in leaderboard.json")
    typer.echo(f"{len(board['rows'])} rows of {len(board['runs'])} run(s): {to / 'index.html'}")
