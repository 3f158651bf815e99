"""How commands print what may hold foreign text: a terminal and a CI system see lines, and nothing that steers them."""

from __future__ import annotations

import typer

from coreheads.private import without_secrets
from coreheads.text import visible


def say(*lines: str, err: bool = False) -> None:
    """Print lines without secrets, as :func:`coreheads.text.visible` shows them; what a line quotes cannot end it."""
    for line in lines:
        typer.echo(visible(without_secrets(line)), err=err)
