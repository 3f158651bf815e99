"""``coreheads check``: the regression gate."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    runs: list[Path] = typer.Argument(metavar="RUN", help="A run folder; with --submission one or more submissions."),
    baseline: Path | None = typer.Option(None, help="The baseline file."),
    submission: bool = typer.Option(
        False, "--submission", help="In place of a comparison: whether others' runs are what they say."
    ),
    data_root: Path | None = typer.Option(
        None, help="Of --submission: benchmark data, with which scores are computed again."
    ),
    include: list[Path] = typer.Option([], help="Of --submission: a folder with tasks of your own; may be repeated."),
    update: bool = typer.Option(False, "--update", help="Make this run the new baseline, and print what that changes."),
    junit: Path | None = typer.Option(None, help="Write the comparisons as a JUnit file too."),
    json_file: Path | None = typer.Option(
        None, "--json", help="Write the comparisons, and every sample that got worse, as JSON too."
    ),
    github: bool = typer.Option(False, "--github", help="In GitHub Actions: annotations, and a summary of the step."),
) -> None:
    """Compare a run with a baseline: accuracy by sample, the ranking of the heads, speed and memory relative to dense.

    A cell's accuracy is compared on the samples that both have; answers that flip at a near-tie of the first token
    are shown and do not count. Tolerances stand in the baseline file, for single cells under tolerances.cells.

    Exit status: 0 within tolerance, 1 a regression (a missing cell is one) or other settings, 2 unusable input.

    Example: coreheads check results/runs/short --baseline results/baseline.json --junit check.xml

    With --submission: files, links and sizes, fields, fingerprints, that all cells and samples are there that the
    settings ask for, heads and scores computed again, no paths or secrets. A line for each finding (then exit status
    1). Nothing of a submission is run. What it cannot see: docs/board.md.

    Example: coreheads check --submission submissions/mine
    """
    import os

    from coreheads.errors import UserError

    if submission:
        given = {"--baseline": baseline, "--update": update, "--junit": junit, "--json": json_file}
        for option, value in given.items():
            if value:
                raise UserError(f"{option}: cannot be given with --submission, expected only folders and --data-root")
        _submissions(runs, data_root, include, github)
        return
    if len(runs) != 1 or baseline is None:
        raise UserError(f"check: {len(runs)} runs and --baseline {baseline}, expected one run and a baseline file")
    if data_root is not None or include:
        raise UserError("--data-root and --include: are for --submission, which is not given")
    run = runs[0]

    from coreheads.check.baseline import load_baseline
    from coreheads.check.compare import check
    from coreheads.check.compare import update as renew
    from coreheads.check.output import append_summary, check_places, commands, show, write_junit
    from coreheads.cli.output import say
    from coreheads.files import write_errors, write_json
    from coreheads.store.folder import RunFolder

    folder = RunFolder.load(run)
    named = os.environ.get("GITHUB_STEP_SUMMARY") if github else None
    summary = Path(named) if named else None
    check_places(folder, baseline, update, junit, json_file, summary)
    notes: list[str] = []
    if update:
        with write_errors(baseline):
            report, notes = renew(folder, baseline)
    else:
        report = check(folder, load_baseline(baseline))
    if report is not None:
        show(report)
    if update and report is not None:
        say("That is what the new baseline changes: look at it before you commit the file.")
    for line in [*notes, f"Written: {baseline}, made from {run}"] if update else []:
        say(line)
    if report is None:
        say("There was no baseline before: nothing was compared, and no report is written")
        return
    if junit is not None:
        with write_errors(junit):
            write_junit(junit, report)
    if json_file is not None:
        with write_errors(json_file):
            write_json(json_file, report.to_json())
    if github:
        for line in commands(report):
            typer.echo(line)
        if summary is not None:
            with write_errors(summary):
                append_summary(summary, report)
        else:
            say("GITHUB_STEP_SUMMARY is not set: no summary of the step was written", err=True)
    if report.failed and not update:
        raise typer.Exit(1)


def _submissions(folders: list[Path], data_root: Path | None, include: list[Path], github: bool) -> None:
    from coreheads.check.output import ANNOTATIONS, message
    from coreheads.check.submission import check_submission
    from coreheads.cli.output import say
    from coreheads.tasks import registry
    from coreheads.text import visible

    for folder in include:
        registry.include(folder)
    findings: list[str] = []
    for folder in folders:
        judged = check_submission(folder, data_root)
        findings += judged.findings
        say(*judged.findings, *([f"ok: {folder}: {judged.summary}"] if not judged.findings else []))
    if github:
        for line in findings[:ANNOTATIONS]:
            typer.echo(f"::error title=coreheads check::{message(visible(line))}")
    if findings:
        say(f"{len(findings)} finding{'s' * (len(findings) > 1)} in {len(folders)} submission(s)", err=True)
        raise typer.Exit(1)
