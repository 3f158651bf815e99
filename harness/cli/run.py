"""``coreheads run``: the main job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """``--ray`` with or without an address: what follows it is one where it looks like one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with an empty address where none is given."""
        for place, argument in enumerate(args):
            if argument == "--ray" and not _ADDRESS.fullmatch("".join(args[place + 1 : place + 2])):
                args = [*args[:place], "--ray=", *args[place + 1 :]]
        return super().parse_args(ctx, args)


_ADDRESS = re.compile(r"auto|local|ray://.*|\S+:\d+")


def command(
    config: Path | None = typer.Argument(
        None, help="A YAML file, or the name of a shipped one: embedded (the default), paper, single_gpu."
    ),
    out: Path | None = typer.Option(None, help="The run's folder; an interrupted run in it goes on."),
    limit: int | None = typer.Option(None, help="Evaluate only so many samples a task."),
    device: str | None = typer.Option(
        None, help="cpu, cuda, cuda:1, or auto-map: over the fewest GPUs that hold a model."
    ),
    change: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value: evaluate.draws=3."),
    only: list[str] = typer.Option(
        [], metavar="model=NAME", help="Only this model of the configuration, in an --out of its own; may be repeated."
    ),
    data_root: Path | None = typer.Option(
        None, help="The folder that holds benchmark data; default: see `coreheads tasks`."
    ),
    include: list[Path] = typer.Option([], help="A folder with tasks of your own; may be repeated."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the plan and stop."),
    fresh: bool = typer.Option(
        False, "--fresh", help="Begin anew; the run that is in the folder is kept under another name."
    ),
    ray: str | None = typer.Option(
        None,
        metavar="[ADDRESS]",
        help="Answer cells side by side on a Ray cluster: HOST:PORT, auto (one that runs here), local (one of this "
        "machine alone); without an address RAY_ADDRESS, else local.",
    ),
    replicas: int | None = typer.Option(
        None, help="With --ray: copies of the model; default: one for each GPU, or CPU core.", min=1
    ),
    quiet: bool = typer.Option(False, "--quiet", help="No progress, no summary."),
) -> None:
    """Find the heads, evaluate every cell, time the timed ones, write the leaderboard.

    A cell is one model with one change on one task. Everything that is finished is stored at once; the same command
    goes on where it stopped, and tries again what failed. Where a checkpoint, a heads file, records or the code of
    prompts and scores have changed since, it stops: --fresh begins anew.

    Exit status: 0 all cells have a score, 1 some failed (the others are on the leaderboard), 2 input that cannot be
    used, 130 interrupted.

    Example: coreheads run --limit 8 --out results/runs/short

    On real data: coreheads run single_gpu --data-root /data --dry-run

    One model a job: coreheads run paper --only model=Qwen/Qwen3-VL-8B-Instruct --out runs/8b

    Their board: coreheads leaderboard runs/8b runs/32b --out board
    """
    from coreheads.cli.output import say
    from coreheads.config.only import only as part
    from coreheads.config.schema import load_config

    folder = None if out is None else str(out)
    root = None if data_root is None else str(data_root)
    own = [str(path) for path in include] or None
    values = {"device": device, "out": folder, "data_root": root, "include": own}
    resolved = part(load_config(config, tuple(change), limit=limit, **values), only)
    if dry_run:
        from coreheads.run.plan import show_plan

        show_plan(resolved, fresh=fresh)
        return
    from coreheads.run.runner import run

    finished = run(resolved, shown=not quiet, fresh=fresh, ray=ray is not None and (ray or True), replicas=replicas)
    if not quiet and finished.board is not None:
        from coreheads.report.terminal import show

        show({**finished.board}, Path(resolved.out))
    for name, reason in {**finished.failed, **finished.untimed}.items():
        what = "no score" if name in finished.failed else "no speed"
        say(f"failed: {name}: {what}: {reason}", err=True)
    if not finished.complete:
        say("The same command tries again what failed.", err=True)
        raise typer.Exit(1)
