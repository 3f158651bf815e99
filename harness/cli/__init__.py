"""The command line: one subcommand a module, which gives either ``command`` (a function) or ``app`` (a typer app with
subcommands of its own, as ``heads`` has), and imports what it needs only when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol, runtime_checkable

import typer
from typer.core import TyperGroup
from typer.main import get_group

from coreheads.errors import UserError

COMMANDS = (
    "run",
    "profile",
    "bench",
    "leaderboard",
    "claims",
    "publish",
    "check",
    "heads",
    "tasks",
    "models",
    "doctor",
    "new",
)
"""Module names, in the order of ``coreheads --help``."""
GROUPS = ("heads", "models")
"""Those with subcommands of their own."""

RESUMED = ("run", "profile")
"""Those that go on where they were stopped."""

INTERRUPTED = 130

LONGEST = 1000
"""Characters of a message."""

HELP = """Find the attention heads of a multimodal LLM that retrieve what a question asks about, prove it by
ablation, and rank hybrid attention by accuracy against speedup.

Start with `coreheads run`: it needs no network and no GPU, and ends with a leaderboard."""


@runtime_checkable
class _Usage(Protocol):
    """What typer raises for a command line that is wrong: it gives that class no public name."""

    message: str
    exit_code: int

    def show(self) -> None: ...


def build_app() -> TyperGroup:
    """The whole command line; importing the subcommands loads none of their libraries.

    Help is plain text: rich, which would draw boxes around it, takes longer to import than all the rest.
    """
    app = typer.Typer(
        name="coreheads",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_version)
    for name in COMMANDS:
        module = import_module(f"coreheads.cli.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name, cls=getattr(module, "Command", None))(module.command)
    group = get_group(app)
    _summarise(group)
    return group


def _summarise(group: TyperGroup) -> None:
    """List every subcommand with the whole first paragraph of its help, which typer would cut to fit a line."""
    for command in group.commands.values():
        command.short_help = (command.help or "").partition("\n\n")[0]
        if isinstance(command, TyperGroup):
            _summarise(command)


def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from coreheads import __version__

        typer.echo(f"coreheads {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (a check or a part of a run failed), 2 (unusable input, or
    a fault of the system such as a disk that cannot be read), 130 (Ctrl-C)."""
    status, given = 0, list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _warnings_in_one_line():
            status = build_app()(args=given, prog_name="coreheads", standalone_mode=False) or 0
    except UserError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {_shown(line)}", err=True)
        return 2
    except OSError as error:
        path = f"{error.filename}: " if error.filename is not None else ""
        typer.echo(f"error: {_shown(f'{path}{error.strerror or error}')}", err=True)
        return 2
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except Exception as error:
        if not isinstance(error, _Usage):
            raise
        error.message = "\n".join(map(_shown, error.message.split("\n")))
        error.show()
        return error.exit_code
    if status == INTERRUPTED:
        kept = "What was finished is stored; the same command goes on from here."
        typer.echo(f"\nStopped. {kept}" if given and given[0] in RESUMED else "\nStopped.", err=True)
    return status


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Have warnings, a library's too, shown as other messages are: they quote names and paths."""
    import warnings

    def one_line(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        return f"warning: {_shown(f'{message} ({category.__name__}, {os.path.basename(filename)} line {lineno})')}\n"

    before, warnings.formatwarning = warnings.formatwarning, one_line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _shown(line: str) -> str:
    """A message as a terminal can show it: what input it quotes may hold anything, and terminals are kept as logs."""
    from coreheads.private import without_secrets
    from coreheads.text import visible

    line = visible(without_secrets(line))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
