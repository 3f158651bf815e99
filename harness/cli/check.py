"""``coreheads check``: the regression gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    baseline: Annotated[Path, typer.Option(help="The baseline file.")],
    update: Annotated[bool, typer.Option("--update", help="Make this run the new baseline.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the comparisons as a JUnit file too.")] = None,
) -> None:
    """Compare a run with a baseline: accuracy by sample, the ranking of the heads, speed relative to dense.

    Exit status: 0 within tolerance, 1 a regression (a missing cell is one), 2 unusable input.

    Example: coreheads check results/runs/short --baseline results/baseline.json
    """
    from coreheads.check import compare, load_baseline, update_baseline
    from coreheads.check_text import show
    from coreheads.run_folder import RunFolder, writing

    folder = RunFolder.load(run)
    if update:
        if baseline.exists():
            show(compare(folder, load_baseline(baseline)))
        with writing(baseline):
            update_baseline(folder, baseline)
        typer.echo(f"{baseline}: is now {run}; look at what moved before you commit it")
        return
    findings = compare(folder, load_baseline(baseline))
    show(findings)
    if junit is not None:
        from coreheads.junit import write_junit

        with writing(junit):
            write_junit(junit, findings)
    if any(not finding.ok for finding in findings):
        raise typer.Exit(1)
