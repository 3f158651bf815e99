"""``coreheads tasks``: what can be evaluated, and where lmms-eval finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    name: Annotated[
        str | None, typer.Argument(help="A task: show the files it reads and whether they are there.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="The folder that holds benchmark data.")] = None,
    path: bool = typer.Option(False, "--path", help="Print only the folder to give to lmms-eval as --include_path."),
) -> None:
    """List the tasks: name, kind, main metric and folder; or, for one task, where its data is looked for.

    Example: coreheads tasks coreheads_mini_refcocog
    """
    from coreheads.tasks import registry

    if path:
        typer.echo(registry.path())
        return
    from rich.table import Table

    from coreheads.progress import wide_console

    if name is not None:
        task = registry.get(name)
        typer.echo(f"{task.name}: {task.summary}. Main score: {task.metric}.")
        for file in task.expected(data_root):
            typer.echo(f"  {'there  ' if file.present else 'missing'}  {file.path}  ({file.what})")
        typer.echo("What is missing is made on first use.")
        return
    table = Table("task", "kind", "main metric", "folder", title="Tasks", title_justify="left")
    for known in registry.names():
        task = registry.get(known)
        table.add_row(known, task.kind, task.metric, str(task.folder))
    wide_console().print(table)
    typer.echo('The same tasks in lmms-eval: lmms-eval --model coreheads --include_path "$(coreheads tasks --path)"')
