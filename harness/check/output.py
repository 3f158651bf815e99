"""A comparison on the terminal, as a JUnit file, and for GitHub Actions: what moved and by how much, how it stands.

What a model wrote cannot steer the terminal: characters that are not printed are shown as their codes.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from rich.markup import escape
from rich.table import Table

from coreheads.check.findings import HEADINGS, SAMPLE_HEADINGS, WORST, Report
from coreheads.files import write_bytes
from coreheads.report.terminal import wide_console
from coreheads.text import markdown, visible

ANNOTATIONS = 10
"""GitHub shows so many errors of a step."""

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def show(report: Report) -> None:
    """Print regressions and everything else that moved; what stayed is only counted."""
    console = wide_console()
    if report.shown:
        table = Table(*HEADINGS, box=None)
        table.columns[1].overflow = "fold"  # the names of two draws differ at their end
        for finding in report.shown:
            mark, *texts = finding.cells("[red]WORSE[/red]", "[green]ok[/green]")
            table.add_row(mark, *(escape(visible(text)) for text in texts))
        console.print(table)
    if report.worse:
        samples = Table(*SAMPLE_HEADINGS, box=None, title=escape(visible(report.worst_title)), title_justify="left")
        samples.columns[0].overflow = samples.columns[1].overflow = "fold"
        for change in report.worse[:WORST]:
            samples.add_row(*(escape(visible(text)) for text in change.cells("->")))
        console.print(samples)
    colour = "red" if report.failed else "green"
    console.print(f"[{colour}]{escape(visible(report.verdict))}[/{colour}]", highlight=False)


def write_junit(path: Path, report: Report) -> None:
    """One test case a comparison; a regression is a failure with its text and the samples that lost most."""
    counts = {"tests": str(len(report.findings)), "failures": str(len(report.failed)), "errors": "0"}
    suite = ElementTree.Element("testsuite", {"name": "coreheads check", **counts})
    for finding in report.findings:
        names = {"classname": f"coreheads.{finding.kind}", "name": _NOT_XML.sub("", finding.name)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if not finding.ok:
            message = f"{f'{finding.step} {finding.change}'.strip()}: {finding.text}"
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
    """GitHub's workflow commands: an error for each of the first regressions, one for those beyond, a notice for none.

    Format: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    lines = []
    for finding in report.failed[: ANNOTATIONS - 1]:
        title = _message(f"{finding.kind} {finding.name}").replace(":", "%3A").replace(",", "%2C")
        change = f" ({finding.change})" if finding.change else ""
        lines.append(f"::error title={title}::{_message(f'{finding.step}{change}: {finding.text}')}")
    more = len(report.failed) - len(lines)
    if more:
        lines.append(f"::error title=coreheads check::{more} more regressions, see the summary of this step")
    return lines or [f"::notice title=coreheads check::{_message(report.verdict)}"]


def append_summary(path: Path, report: Report) -> None:
    """Add the comparison, in GitHub-flavoured Markdown, to the file that GITHUB_STEP_SUMMARY names; other steps may
    have written to it."""
    from tabulate import tabulate

    parts = [f"## coreheads check: {markdown(report.verdict)}"]
    worst = [change.cells("→") for change in report.worse[:WORST]]
    for title, rows, headings in (
        ("", [finding.cells("❌", "✅") for finding in report.shown], HEADINGS),
        (f"### {report.worst_title}", worst, SAMPLE_HEADINGS),
    ):
        if rows:
            cells = [[markdown(text) for text in row] for row in rows]
            parts += [title, tabulate(cells, headings, tablefmt="github", disable_numparse=True)]
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write("\n\n".join(filter(None, parts)) + "\n\n")


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
