"""A comparison for GitHub Actions: annotations on standard output, and a summary of the step in Markdown.

Formats: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from coreheads.check.findings import HEADINGS, SAMPLE_HEADINGS, WORST, Report
from coreheads.text import markdown

ANNOTATIONS = 10
"""GitHub shows so many errors of a step."""


def commands(report: Report) -> list[str]:
    """Workflow commands: an error for each of the first regressions, one for those beyond, a notice for none."""
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
    parts = [f"## coreheads check: {markdown(report.verdict)}"]
    if report.shown:
        parts.append(_table((finding.cells("❌", "✅") for finding in report.shown), HEADINGS))
    if report.worse:
        parts.append(f"### {report.worst_title}")
        parts.append(_table((change.cells("→") for change in report.worse[:WORST]), SAMPLE_HEADINGS))
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write("\n\n".join(parts) + "\n\n")


def _table(rows: Iterable[Sequence[str]], headings: Sequence[str]) -> str:
    from tabulate import tabulate

    shown = [[markdown(text) for text in row] for row in rows]
    return tabulate(shown, headings, tablefmt="github", disable_numparse=True)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
