"""``coreheads doctor``: what this machine can run."""

from __future__ import annotations

import typer


def command() -> None:
    """Say what this machine can run, and what is missing for the rest.

    Exit status 1 where `coreheads run` cannot work.
    """
    from coreheads.doctor import examine

    wrong = 0
    for check in examine():
        wrong += check.needed and not check.ok
        typer.echo(f"{'ok     ' if check.ok else 'MISSING' if check.needed else 'no     '} {check.name}: {check.text}")
    if wrong:
        raise typer.Exit(1)
