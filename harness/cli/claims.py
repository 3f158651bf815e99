"""``coreheads claims``: the paper's statements, judged by what a run stored."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    runs: list[Path] = typer.Argument(metavar="RUN...", help="Run folders."),
    out: Path | None = typer.Option(None, help="Also write them as JSON, say to claims.json."),
) -> None:
    """Print the paper's statements one by one: each holds, does not, cannot be told, or was not tested by the run.

    With the figures and the test behind every verdict; no model is loaded. The same stands in leaderboard.json
    (claims), leaderboard.md and on the page.

    Example: coreheads claims results/runs/embedded --out claims.json
    """
    from rich.table import Table

    from coreheads.files import write_errors, write_json
    from coreheads.leaderboard.build import build
    from coreheads.report.claims import table
    from coreheads.report.terminal import wide_console
    from coreheads.store.board import SCHEMA_VERSION
    from coreheads.store.folder import RunFolder
    from coreheads.store.outputs import check_output
    from coreheads.text import for_rich

    if out is not None:
        check_output("--out", out, "claims", {})
    found = build([RunFolder.load(run) for run in runs])["claims"]
    if out is not None:
        with write_errors(out):
            write_json(out, {"schema_version": SCHEMA_VERSION, "claims": found})
    headings, lines = table(found)
    shown = Table(*headings, box=None)
    shown.columns[2].no_wrap = True
    for line in lines:
        shown.add_row(*map(for_rich, line))
    wide_console().print(shown)
