"""A comparison for GitHub Actions: annotations on standard output, and a summary of the step in Markdown.

Formats: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from pathlib import Path

from coreheads.check.findings import WORST, Report, cells_of, headings
from coreheads.text import markdown

ANNOTATIONS = 10
"""GitHub shows so many errors of a step."""


def commands(report: Report) -> list[str]:
    """Workflow commands: an error for each of the first regressions, one for those beyond, a notice where there is
    none."""
    lines = []
    for finding in report.failed[: ANNOTATIONS - 1]:
        _, what, before, now, change, _, text = cells_of(finding, "", "")
        message = f"{before} -> {now}{f' ({change})' if change else ''}: {text}"
        lines.append(f"::error title={_property(what)}::{_message(message)}")
    more = len(report.failed) - len(lines)
    if more:
        lines.append(f"::error title=coreheads check::{more} more regressions, see the summary of this step")
    return lines or [f"::notice title=coreheads check::{_message(report.verdict)}"]


def summary(report: Report) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    from tabulate import tabulate

    parts = [f"## coreheads check: {markdown(report.verdict)}", ""]
    if report.shown:
        rows = [[markdown(text) for text in cells_of(finding, "❌", "✅")] for finding in report.shown]
        parts += [tabulate(rows, headings(), tablefmt="github", disable_numparse=True), ""]
    if report.worse:
        parts += [f"### Samples that lost most ({min(WORST, len(report.worse))} of {len(report.worse)})", ""]
        rows = [
            [
                markdown(change.cell),
                markdown(change.record),
                f"{change.before:.2f} → {change.now:.2f}{' (near-tie)' if change.near_tie else ''}",
                markdown(change.answer_before),
                markdown(change.answer_now),
            ]
            for change in report.worse[:WORST]
        ]
        names = ("cell", "sample", "score", "answer of the baseline", "answer now")
        parts += [tabulate(rows, names, tablefmt="github", disable_numparse=True), ""]
    return "\n".join(parts) + "\n"


def append_summary(path: Path, report: Report) -> None:
    """Add the summary to the file that GitHub names in GITHUB_STEP_SUMMARY; other steps may have written to it."""
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(summary(report))


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
