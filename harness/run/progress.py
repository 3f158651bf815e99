"""What is running, how fast, and how long it may take: a live display where someone is looking, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coreheads.run.costs import Costs, Work
from coreheads.text import duration

EVERY_S = 30.0
"""Seconds between two lines of one step, where the output is a file or a pipe."""


class Reporter:
    """The steps of a run on stderr; silent when not ``shown``.

    left: the work of the whole run that is not done yet; costs: what such work takes, as far as it is known. Both are
    kept up to date by whoever does the work.
    """

    def __init__(self, shown: bool = True, costs: Costs | None = None, every: float = EVERY_S) -> None:
        self.shown = shown
        self.costs = costs or Costs()
        self.left: list[Work] = []
        self.total = 0.0
        self.every = every
        # the stream as it is now: lmms-eval's output is diverted by replacing sys.stderr
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._started = time.monotonic()

    def expect(self, works: Iterable[Work]) -> None:
        """What the whole run is still to do."""
        self.left = list(works)
        self.total = self._answers()

    def counted(self, work: Work, units: int) -> None:
        """Now it is known how much of this work there is."""
        self.total += units - (work.units or 0)
        work.units = units

    def forget(self, **like: str) -> None:
        """Leave out what is not to be done after all: the work with these attributes."""
        self.left = [work for work in self.left if any(getattr(work, name) != text for name, text in like.items())]

    def say(self, text: str) -> None:
        """One line, with the time since the beginning."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self._console.print(f"[dim]{minutes:d}:{seconds:02d}[/dim]  {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, phase: str, title: str, total: int, unit: str = "samples") -> Iterator[Step]:
        """A part of the run of ``total`` units. phase: loading, profiling, evaluating, timing or writing."""
        step = Step(self, total, unit)
        if not self._console.is_terminal or self._console.quiet:
            self.say(f"{phase} {title} ({total:,} {unit})" if total else f"{phase} {title}")
            said = time.monotonic()

            def line() -> None:
                nonlocal said
                if time.monotonic() - said >= self.every:
                    said = time.monotonic()
                    self.say(f"{phase} {title}: {step.facts()}")

            step.changed = line
            yield step
        else:
            with self._bars() as bars:
                row = bars.add_task(escape(f"{phase} {title}"), total=max(total, 1), facts="")

                def update() -> None:
                    bars.update(row, completed=step.done, facts=escape(step.facts(short=True)))

                step.changed = update
                yield step
        self.say(f"{phase} {title}: done in {duration(step.seconds)}{step.speed(', ')}")

    def time_left(self, own: Step | None = None) -> str:
        """Of the whole run, as far as it can be foreseen; says when that is not all."""
        seconds, unknown = self.costs.estimate(self.left, None if own is None else own.live)
        kinds = dict.fromkeys(_SAID[work.kind] for work in unknown)
        if seconds < 1 and unknown:
            return "time left not known yet"
        return f"about {duration(seconds)} left" + (f", {' and '.join(kinds)} not counted" if kinds else "")

    def answers(self) -> str:
        """How much of the run's answers is there."""
        return f"{self.total - self._answers():,.0f}/{self.total:,.0f} of the run" if self.total else ""

    def _answers(self) -> float:
        return sum(work.units or 0 for work in self.left if work.kind == "answer")

    def _bars(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[facts]}"),
        )
        return Progress(*columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)


_SAID = {"load": "loading", "profile": "finding heads", "answer": "some answers", "time": "timing"}


class Step:
    """One running part: what it is at, and how fast it goes."""

    def __init__(self, reporter: Reporter, total: int, unit: str) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self.changed: Callable[[], object] = lambda: None
        self._computed = 0
        self._tokens = 0
        self._reporter = reporter
        self._work: Work | None = None
        self._text = ""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def advance(self, count: int = 1, tokens: int = 0, computed: bool = True) -> None:
        """``count`` more units are done, with so many prompt tokens; not computed: they were there already."""
        self.done += count
        self._tokens += tokens
        self._computed += count if computed else 0
        if self._work is not None and self._work.units is not None:
            self._work.units = max(0, self._work.units - count)
        self.changed()

    def now(self, text: str, work: Work | None = None) -> None:
        """What is being worked on: in words, and among the run's work."""
        self._text, self._work = text, work
        self.changed()

    @property
    def live(self) -> tuple[Work, float] | None:
        """The work under way and its seconds a unit so far; None before the first one."""
        return (self._work, self.seconds / self._computed) if self._work is not None and self._computed else None

    def speed(self, before: str = "") -> str:
        """Units and prompt tokens a second."""
        if not self._computed or self.seconds <= 0:
            return ""
        rate = self._computed / self.seconds
        tokens = f", {self._tokens / self.seconds:,.0f} tokens/s" if self._tokens else ""
        return f"{before}{rate:.3g} {self.unit}/s{tokens}"

    def facts(self, short: bool = False) -> str:
        """All that is known, in a line."""
        done = "" if short else f"{self.done:,}/{self.total:,} {self.unit}"
        parts: list[Any] = [self._text, done, self._reporter.answers(), self.speed(), self._reporter.time_left(self)]
        return ", ".join(part for part in parts if part)
