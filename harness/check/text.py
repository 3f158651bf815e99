"""A comparison in the terminal: what moved and by how much, the worst samples with both answers, how it stands.

What a model wrote cannot steer the terminal: characters that are not printed are shown as their codes.
"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coreheads.check.findings import WORST, Report, cells_of, headings
from coreheads.report.terminal import wide_console


def show(report: Report, console: Console | None = None) -> None:
    """Print regressions and everything else that moved; what stayed is only counted."""
    console = console or wide_console()
    if report.shown:
        table = Table(*headings(), box=None)
        table.columns[1].overflow = "fold"  # the names of two draws differ at their end
        for finding in report.shown:
            mark, *texts = cells_of(finding, "[red]WORSE[/red]", "[green]ok[/green]")
            table.add_row(mark, *(escape(visible(text)) for text in texts))
        console.print(table)
    if report.worse:
        samples = Table("cell", "sample", "score", "answer of the baseline", "answer now", box=None)
        samples.title = f"Samples that lost most ({min(WORST, len(report.worse))} of {len(report.worse)})"
        samples.title_justify = "left"
        samples.columns[0].overflow = samples.columns[1].overflow = "fold"
        for change in report.worse[:WORST]:
            score = f"{change.before:.2f} -> {change.now:.2f}{' (near-tie)' if change.near_tie else ''}"
            texts = [change.cell, change.record, score, change.answer_before, change.answer_now]
            samples.add_row(*(escape(visible(text)) for text in texts))
        console.print(samples)
    colour = "red" if report.failed else "green"
    console.print(f"[{colour}]{report.verdict}[/{colour}]", highlight=False)


def visible(text: str) -> str:
    """Text without control characters, line breaks or marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
