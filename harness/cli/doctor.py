"""``coreheads doctor``: what this machine can run."""

from __future__ import annotations

import typer


def command(
    model: str | None = typer.Argument(
        None, help="A hub id, a folder, or tiny, smol, smol-onevision: can it be loaded here?"
    ),
    device: str = typer.Option("auto", help="For MODEL: auto, cpu, cuda, cuda:N or auto-map."),
    dtype: str = typer.Option("bfloat16", help="For MODEL: float32, bfloat16, float16; auto: its own."),
) -> None:
    """Say what this machine can run, and what is missing for the rest.

    With MODEL: whether that model can be loaded here and what memory it takes; no weight is read or downloaded.
    Exit status 1 where `coreheads run`, or MODEL, cannot work.
    """
    from coreheads.cli.output import say

    if model is None:
        from coreheads.doctor.environment import examine

        checks = examine()
    else:
        from coreheads.doctor.model import examine_model

        checks = examine_model(model, device, dtype)
    for check in checks:
        say(f"{'ok     ' if check.ok else 'MISSING' if check.needed else 'no     '} {check.name}: {check.text}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(1)
