"""``coreheads tasks``: what can be evaluated, where its data is looked for, and whether that is sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from coreheads.tasks.task import Task


def command(
    name: str | None = typer.Argument(None, help="A task: show what it reads and what of it is there; or `validate`."),
    checked: str | None = typer.Argument(None, metavar="[NAME]", help="After `validate`: the task."),
    data_root: Path | None = typer.Option(None, help="The folder that holds benchmark data, <folder>/<benchmark>/..."),
    split: str = typer.Option("test", help="Of the task."),
    limit: int | None = typer.Option(None, help="Look at so many records; default: all.", min=1),
    option: list[str] = typer.Option([], metavar="NAME=VALUE", help="An option of the task; may be repeated."),
    include: list[Path] = typer.Option([], help="A folder with tasks of your own; may be repeated."),
    path: bool = typer.Option(
        False, "--path", help="Print only the folder for lmms-eval's --include_path (of a task named)."
    ),
) -> None:
    """List the tasks; show one's files and options; or check its data record by record.

    Validating opens every record's media and prints a table of what it found. Exit status: 0 nothing was found,
    1 findings, 2 not one record, or not the data as a whole, can be used.

    Examples:

    coreheads tasks coreheads_refcocog --data-root /data

    coreheads tasks validate coreheads_mmdocir_page --data-root /data --limit 100
    """
    from coreheads.cli.output import say
    from coreheads.config.parsing import set_values
    from coreheads.errors import UserError
    from coreheads.tasks import registry

    options = set_values({}, option, flag="--option", example="dpi=72")
    for folder in include:
        registry.include(folder)
    if path:
        typer.echo(registry.path() if name is None else registry.get(name).folder)
    elif name == "validate":
        if checked is None:
            raise UserError("tasks validate: no task is named, expected for example coreheads_refcocog")
        _validate(registry.get(checked), data_root, split, limit, options)
    elif checked is not None:
        raise UserError(f"tasks {name} {checked}: expected one task, or validate and a task")
    elif name is not None:
        _show(registry.get(name), data_root, split, options)
    else:
        tasks = []
        for known in registry.names():
            try:
                tasks.append(registry.get(known))
            except UserError as error:  # another package's, which must not keep the others from being seen
                say(f"Left out: {error}", err=True)
        _list(tasks, data_root)


def _list(tasks: Sequence[Task], data_root: Path | None) -> None:
    from rich.table import Table

    from coreheads.report.terminal import print_table, wide_console

    table = Table(
        "task", "kind", "main metric", "here", "regions", "splits", "data", title="Tasks", title_justify="left"
    )
    for task in tasks:
        files = [file for file in task.expected(data_root) if not file.optional]
        there = sum(file.present for file in files)
        here = "yes" if there == len(files) else "in part" if there else "no"
        data = "made on first use" if task.is_made else f"{task.benchmark}/{f' or {task.hub}' if task.hub else ''}"
        regions = "no" if task.no_regions else "yes"
        table.add_row(task.name, task.kind, task.board_metric, here, regions, ", ".join(task.splits), data)
    print_table(wide_console(), table)
    typer.echo("One task's files: coreheads tasks NAME --data-root DIR. To check them: coreheads tasks validate NAME")
    typer.echo('The same tasks in lmms-eval: lmms-eval --model coreheads --include_path "$(coreheads tasks --path)"')


def _show(task: Task, data_root: Path | None, split: str, options: dict[str, Any]) -> None:
    from coreheads.cli.output import say
    from coreheads.tasks.download import download

    files, settings = task.expected(data_root, split, options), task.settings(options)
    say(f"{task.name}: {task.summary}. Main score: {task.board_metric}. Splits: {', '.join(task.splits)}.")
    if task.no_regions:
        say(f"No heads can be found on it: {task.no_regions}.")
    if task.options:
        say("Options: " + ", ".join(f"{key}={value}" for key, value in settings.items()))
    say(f"What split {split} reads:")
    for file in files:
        count = file.count()
        there = f": {count} there" if count else ""
        say(f"  {'there  ' if file.present else 'missing'}  {file.path}  ({file.what}{there})")
    if task.is_made:
        say("What is missing is made on first use.")
    else:
        say(*download(task, data_root, options))
        say(f"Its tree, licence and size: {task.folder / 'README.md'}")


def _validate(task: Task, data_root: Path | None, split: str, limit: int | None, options: dict[str, Any]) -> None:
    from rich.table import Table

    from coreheads.cli.output import say
    from coreheads.report.terminal import wide_console
    from coreheads.tasks.validation import validate
    from coreheads.text import for_rich

    findings = validate(task, split, limit, data_root, options)
    if findings.counts:
        table = Table(title=for_rich(task.name), title_justify="left")
        for column in ("finding", "what", "records", "first"):
            table.add_column(column, overflow="fold")  # a file's name is of no use when it is cut
        for (kind, text), count in findings.counts.most_common():
            table.add_row(for_rich(kind), for_rich(text), str(count), for_rich(findings.examples[kind, text]))
        wide_console().print(table)
    say(
        f"{findings.checked} records of split {split} looked at, {findings.unscored} that would be counted as "
        f"unscored, {sum(findings.counts.values()) - findings.unscored} other findings."
    )
    if findings.without_regions and not task.no_regions:
        say(f"{findings.without_regions} of them name no region that is shown: heads are not looked for there.")
    if findings.counts:
        raise typer.Exit(2 if findings.unscored == findings.checked else 1)
