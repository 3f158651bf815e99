"""A comparison in the terminal: what moved and by how much, the worst samples with both answers, how it stands.

What a model wrote cannot steer the terminal: characters that are not printed are shown as their codes.
"""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from coreheads.check.findings import HEADINGS, SAMPLE_HEADINGS, WORST, Report
from coreheads.report.terminal import wide_console


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
        samples = Table(*SAMPLE_HEADINGS, box=None, title=report.worst_title, title_justify="left")
        samples.columns[0].overflow = samples.columns[1].overflow = "fold"
        for change in report.worse[:WORST]:
            samples.add_row(*(escape(visible(text)) for text in change.cells("->")))
        console.print(samples)
    colour = "red" if report.failed else "green"
    console.print(f"[{colour}]{report.verdict}[/{colour}]", highlight=False)


def visible(text: str) -> str:
    """Text without control characters, line breaks or marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
