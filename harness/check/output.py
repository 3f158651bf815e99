"""A comparison on the terminal, as a JUnit file, and for GitHub Actions: what moved and by how much, how it stands.

What a model wrote cannot steer the terminal: characters that are not printed are shown as their codes.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

from coreheads.check.findings import HEADINGS, SAMPLE_HEADINGS, WORST, Report
from coreheads.errors import UserError
from coreheads.files import write_bytes
from coreheads.report.terminal import wide_console
from coreheads.store.folder import RunFolder
from coreheads.store.outputs import check_output, same_file
from coreheads.text import for_rich, markdown

ANNOTATIONS = 10
"""GitHub shows so many errors of a step."""

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_OWN = (
    "manifest.json",
    "cells.jsonl",
    "timings.jsonl",
    "costs.json",
    "run.lock",
    "samples",
    "heads",
    "figures",
    "errors",
)


def check_places(
    run: RunFolder, baseline: Path, update: bool, junit: Path | None, json_file: Path | None, summary: Path | None
) -> None:
    """UserError where one of the files that are to be written is the run's own, the baseline, or another file that
    somebody may need. Asked before anything is written."""
    named = {"--junit": junit, "--json": json_file, "GITHUB_STEP_SUMMARY": summary}
    if update:
        named["--baseline"] = baseline
    for option, path in named.items():
        if path is not None and _own(run, path):
            raise UserError(f"{option} is {path}, a file of the run itself, expected another file")
    known = {"the baseline": baseline, **({"the step's summary": summary} if summary is not None else {})}
    if junit is not None:
        check_output("--junit", junit, "a JUnit file of coreheads check", known)
        known["the JUnit file"] = junit
    if json_file is not None:
        check_output("--json", json_file, "a JSON report of coreheads check", known)
    if summary is not None and same_file(summary, baseline):
        raise UserError(f"GITHUB_STEP_SUMMARY is {summary}, the baseline itself, expected another file")


def _own(run: RunFolder, path: Path) -> bool:
    """Whether it is, or would be, one of the files that make the run or its board."""
    try:
        place, folder = path.resolve(), run.path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, names too long
        return False
    if not place.is_relative_to(folder) or place == folder:
        return place == folder
    first = place.relative_to(folder).parts[0]
    return first in _OWN or first.startswith("leaderboard.")


def show(report: Report) -> None:
    """Print regressions and everything else that moved; what stayed is only counted."""
    console = wide_console()
    settings = [finding for finding in report.findings if finding.kind == "settings"]
    for finding in settings:
        line = for_rich(f"settings {finding.name}: {finding.text}")
        console.print(f"[red]{line}[/red]", highlight=False, soft_wrap=True)
    moved = [finding for finding in report.shown if finding not in settings]
    if moved:
        table = Table(*HEADINGS, box=None)
        table.columns[1].overflow = "fold"  # the names of two draws differ at their end
        for finding in moved:
            mark, *texts = finding.cells("[red]WORSE[/red]", "[green]ok[/green]", "[yellow]cannot tell[/yellow]")
            table.add_row(mark, *(for_rich(text) for text in texts))
        console.print(table)
    if report.worse:
        samples = Table(*SAMPLE_HEADINGS, box=None, title=for_rich(report.worst_title), title_justify="left")
        samples.columns[0].overflow = samples.columns[1].overflow = "fold"
        for change in report.worse[:WORST]:
            samples.add_row(*(for_rich(text) for text in change.cells("->")))
        console.print(samples)
    colour = "red" if report.failed else "green"
    console.print(f"[{colour}]{for_rich(report.verdict)}[/{colour}]", highlight=False)


def write_junit(path: Path, report: Report) -> None:
    """One test case a comparison; a regression is a failure with its text and the samples that lost most, what cannot
    be told is skipped."""
    counts = {
        "tests": len(report.findings),
        "failures": len(report.failed),
        "errors": 0,
        "skipped": len(report.unclear),
    }
    named = {"name": "coreheads check", **{name: str(count) for name, count in counts.items()}}
    suite = ElementTree.Element("testsuite", named)
    for finding in report.findings:
        names = {"classname": f"coreheads.{finding.kind}", "name": _NOT_XML.sub("", finding.name)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if finding.unclear:
            ElementTree.SubElement(case, "skipped", message=_NOT_XML.sub("", finding.text))
        if not finding.ok:
            message = ": ".join(filter(None, (f"{finding.step} {finding.change}".strip(), finding.text)))
            failure = ElementTree.SubElement(case, "failure", message=_NOT_XML.sub("", message))
            worse = [
                f"{change.record}: {change.before:g} -> {change.now:g}{' (near-tie)' if change.near_tie else ''}: "
                f"{change.answer_before!r} -> {change.answer_now!r}"
                for change in report.worse
                if change.cell == finding.name
            ]
            failure.text = _NOT_XML.sub("", "\n".join(worse[:WORST]))
    write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def commands(report: Report) -> list[str]:
    """GitHub's workflow commands: an error for each of the first regressions, one for those beyond, a notice for none;
    a warning where something cannot be told.

    Format: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    lines = []
    for finding in report.failed[: ANNOTATIONS - 1]:
        title = message(f"{finding.kind} {finding.name}").replace(":", "%3A").replace(",", "%2C")
        change = f" ({finding.change})" if finding.change else ""
        text = ": ".join(filter(None, (f"{finding.step}{change}", finding.text)))
        lines.append(f"::error title={title}::{message(text)}")
    more = len(report.failed) - len(lines)
    if more:
        lines.append(f"::error title=coreheads check::{more} more regressions, see the summary of this step")
    lines = lines or [f"::notice title=coreheads check::{message(report.verdict)}"]
    if report.unclear:
        first, more = report.unclear[0], len(report.unclear) - 1
        text = f"{first.kind} {first.name}: {first.text}{f'; and {more} more' if more else ''}"
        lines.append(f"::warning title=coreheads check cannot tell::{message(text)}")
    return lines


def append_summary(path: Path, report: Report) -> None:
    """Add the comparison, in GitHub-flavoured Markdown, to the file that GITHUB_STEP_SUMMARY names; other steps may
    have written to it."""
    from tabulate import tabulate

    parts = [f"## coreheads check: {markdown(report.verdict)}"]
    worst = [change.cells("→") for change in report.worse[:WORST]]
    for title, rows, headings in (
        ("", [finding.cells("❌", "✅", "❔ cannot tell") for finding in report.shown], HEADINGS),
        (f"### {report.worst_title}", worst, SAMPLE_HEADINGS),
    ):
        if rows:
            cells = [[markdown(text) for text in row] for row in rows]
            parts += [title, tabulate(cells, headings, tablefmt="github", disable_numparse=True)]
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write("\n\n".join(filter(None, parts)) + "\n\n")


def message(text: str) -> str:
    """A text as a workflow command holds it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
