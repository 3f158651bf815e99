"""``coreheads publish``: a folder for a web server or a static Space."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    runs: list[Path] = typer.Argument(metavar="RUN...", help="Run folders."),
    to: Path | None = typer.Option(None, help="An empty folder, or one that was published into before."),
    submission: Path | None = typer.Option(
        None, help="In place of --to: a new folder for one run, to be given to somebody else's board."
    ),
    who: str | None = typer.Option(None, help="Whose runs these are: the name at their rows. --submission needs it."),
    contact: str | None = typer.Option(None, help="With --who: a web or mail address."),
    note: str | None = typer.Option(None, help="With --who: what a reader should know, in one line."),
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

    To somebody else's board: coreheads publish results/runs/mine --submission submissions/mine --who "A. Name"
    """
    from coreheads.cli.output import say
    from coreheads.errors import UserError
    from coreheads.files import write_errors
    from coreheads.leaderboard.publish import publish, submit
    from coreheads.store.folder import RunFolder
    from coreheads.store.provenance import Submitter

    if who is None and (contact or note):
        raise UserError("--contact and --note: say something of --who, which is not given")
    by: Submitter | None = None if who is None else {"who": who, "contact": contact, "note": note}
    if submission is not None:
        if to is not None or no_responses or no_pictures:
            raise UserError("--submission: takes no --to, --no-responses or --no-pictures; it has answers, no pictures")
        if by is None:
            raise UserError("--submission: needs --who, expected the name that is to stand at its rows")
        if len(runs) != 1:
            raise UserError(f"--submission: {len(runs)} runs are given, expected one")
        with write_errors(submission):
            submit(RunFolder.load(runs[0]), submission, by)
        say(f"Written: {submission}. Before you send it: coreheads check --submission {submission}")
        return
    if to is None:
        raise UserError("publish: needs --to or --submission, expected a folder to write")
    folders = [RunFolder.load(run) for run in runs]
    with write_errors(to):
        board = publish(folders, to, title, license, not no_responses, not no_pictures, by)
    for remark in board["remarks"]:
        say(remark)
    if board["left_out"]:
        say(f"Left out: {len(board['left_out'])} entries, listed on the page and in leaderboard.json")
    say(f"{len(board['rows'])} rows of {len(board['runs'])} run{'s' * (len(board['runs']) > 1)}: {to / 'index.html'}")
