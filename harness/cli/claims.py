"""``coreheads claims``: the paper's statements, judged by what a run stored."""

from __future__ import annotations

from pathlib import Path

import typer


def command(runs: list[Path] = typer.Argument(metavar="RUN...", help="Run folders.")) -> None:
    """Print the paper's statements one by one: each holds, does not, cannot be told, or was not tested by the run.

    With the figures and the test behind every verdict; no model is loaded. The same stands in leaderboard.json
    (claims), leaderboard.md and on the page.

    Example: coreheads claims results/runs/embedded
    """
    from rich.table import Table

    from coreheads.leaderboard.build import build
    from coreheads.report.claims import table
    from coreheads.report.terminal import wide_console
    from coreheads.store.folder import RunFolder
    from coreheads.text import for_rich

    headings, lines = table(build([RunFolder.load(run) for run in runs])["claims"])
    shown = Table(*headings, box=None)
    shown.columns[2].no_wrap = True
    for line in lines:
        shown.add_row(*map(for_rich, line))
    wide_console().print(shown)
