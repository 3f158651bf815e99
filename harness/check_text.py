"""Findings of a check in the terminal: what moved, and one line that says how it stands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coreheads.check import Finding
from coreheads.progress import wide_console


def show(findings: Sequence[Finding], console: Console | None = None) -> None:
    """Print regressions and everything else that moved; what stayed is only counted."""
    console = console or wide_console()
    moved = [finding for finding in findings if not finding.ok or _moved(finding)]
    if moved:
        table = Table("", "what", "baseline", "now", "", box=None)
        table.columns[1].overflow = "fold"  # the names of two draws differ at their end
        for finding in moved:
            mark = "[green]ok[/green]" if finding.ok else "[red]WORSE[/red]"
            values = [_number(finding.before), _number(finding.now)]
            table.add_row(mark, escape(f"{finding.kind} {finding.name}"), *values, escape(finding.text))
        console.print(table)
    failed = sum(not finding.ok for finding in findings)
    word = f"[red]{failed} regressions[/red]" if failed else "[green]no regression[/green]"
    console.print(f"{word} in {len(findings)} comparisons; {len(findings) - len(moved)} did not move at all")


def _moved(finding: Finding) -> bool:
    """Beyond the digits that a baseline keeps."""
    if finding.before is None or finding.now is None:
        return finding.before is not finding.now
    return abs(finding.before - finding.now) > 5e-4


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
