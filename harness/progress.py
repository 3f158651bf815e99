"""What is running: bars where someone is looking, a plain line a step where the output is a file or a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter:
    """Steps of a run on stderr; silent when not ``shown``."""

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown
        # the stream as it is now: lmms-eval's output is diverted by replacing sys.stderr
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the time since the beginning."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self._console.print(f"[dim]{minutes:d}:{seconds:02d}[/dim]  {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Step]:
        """A bar over ``total`` units of work, or a line when it is finished."""
        started = time.monotonic()
        if not self._console.is_terminal or self._console.quiet:
            self.say(f"{title} ...")
            yield Step(lambda count, text: None)
        else:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[now]}"),
            )
            bars = Progress(
                *columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            with bars:
                row = bars.add_task(escape(title), total=max(total, 1), now="")

                def update(count: int, text: str | None) -> None:
                    bars.advance(row, count)
                    if text is not None:
                        bars.update(row, now=escape(text))

                yield Step(update)
        self.say(f"{title}: done in {time.monotonic() - started:.0f} s")


class Step:
    """One running step."""

    def __init__(self, update: Callable[[int, str | None], None]) -> None:
        self._update = update

    def advance(self, count: int = 1) -> None:
        self._update(count, None)

    def now(self, text: str) -> None:
        """What is being worked on."""
        self._update(0, text)


def wide_console() -> Console:
    """Standard output; as wide as tables need where nothing says how wide it is."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
