"""What is running, how fast, and how long it may take: a live display where someone is looking, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coreheads.private import without_secrets
from coreheads.run.costs import Costs, Left, Work
from coreheads.text import duration, for_rich, visible

EVERY_S = 30.0
"""Seconds between two lines of one step, where the output is a file or a pipe."""

_SAID = {"load": "loading", "profile": "finding heads", "answer": "some answers", "time": "timing"}


class RunProgress:
    """The run on stderr, step by step, and its work: what is left, and what is done has cost. Silent when not shown.

    A :meth:`step` is what a line or bar stands for; within it every :meth:`work` is told of, then :meth:`advance`.
    """

    def __init__(self, shown: bool = True, costs: Costs | None = None, every: float = EVERY_S) -> None:
        self.costs = costs or Costs()
        self.left: dict[Work, float | None] = {}
        self._every = every
        # the stream as it is now: lmms-eval's output is diverted by replacing sys.stderr
        self._console = Console(file=sys.stderr, quiet=not shown, emoji=False)
        self._started = self._step_started = time.monotonic()
        self._answers = 0.0
        self._total, self._unit, self._text = 0, "", ""
        self._work: Work | None = None
        self._work_started, self._work_computed = 0.0, 0
        self._done = self._computed = self._tokens = 0
        self._show: Callable[[], object] = lambda: None

    def expect(self, left: Left) -> None:
        """What the whole run is still to do."""
        self.left = dict(left)
        self._answers = self._answers_left()

    def say(self, text: str) -> None:
        """One line, with the time since the beginning."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        shown = for_rich(without_secrets(text))
        self._console.print(f"[dim]{minutes:d}:{seconds:02d}[/dim]  {shown}", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that is shown in any case."""
        print(visible(without_secrets(text)), file=sys.stderr)

    @contextmanager
    def step(self, phase: str, title: str, total: int, unit: str = "samples") -> Iterator[None]:
        """A part of the run of ``total`` units. phase: loading, profiling, evaluating, timing or writing."""
        name = f"{phase} {title}".strip()
        self._total, self._unit, self._text, self._work = total, unit, "", None
        self._done = self._computed = self._tokens = 0
        self._step_started = time.monotonic()
        if self._console.is_terminal and not self._console.quiet:
            with self._bars() as bars:
                row = bars.add_task(for_rich(name), total=max(total, 1), facts="")
                self._show = lambda: bars.update(row, completed=self._done, facts=for_rich(self.facts(short=True)))
                yield
        else:
            self.say(f"{name} ({total:,} {unit})" if total else name)
            said = time.monotonic()

            def line() -> None:
                nonlocal said
                if time.monotonic() - said >= self._every:
                    said = time.monotonic()
                    self.say(f"{name}: {self.facts()}")

            self._show = line
            yield
        self._show = lambda: None
        self.say(", ".join(filter(None, (f"{name}: done in {duration(self._seconds)}", self.speed()))))

    @contextmanager
    def work(self, work: Work, units: int, text: str = "") -> Iterator[None]:
        """What the step is at: so many units of this work, in words. What it has cost is noted where all went well;
        it is over in any case."""
        self.begin(work, units)
        self._work, self._text = work, text
        self._work_started, self._work_computed = time.monotonic(), self._computed
        self._show()
        try:
            yield
            self.costs.add(work, time.monotonic() - self._work_started, self._computed - self._work_computed)
        finally:
            self._work, self.left[work] = None, 0

    def begin(self, work: Work, units: int) -> None:
        """So many units of this work are to be done; it may be done beside others, as several replicas do."""
        if work.kind == "answer":
            self._answers += units - (self.left.get(work) or 0)
        self.left[work] = units

    def advance(self, count: int = 1, tokens: int = 0, computed: bool = True, work: Work | None = None) -> None:
        """``count`` more units are done, with so many prompt tokens; not computed: they were there already. work:
        whose; None is that of the step."""
        self._done += count
        self._tokens += tokens
        self._computed += count if computed else 0
        if (own := work or self._work) is not None:
            self.left[own] = max(0, (self.left[own] or 0) - count)
        self._show()

    def forget(self, model: str) -> None:
        """What is left of a model is not done after all."""
        self.left = {work: units for work, units in self.left.items() if work.model != model}

    def time_left(self) -> str:
        """Of the whole run, as far as it can be foreseen; says when that is not all."""
        seconds, unknown = self.foreseen()
        kinds = dict.fromkeys(_SAID[work.kind] for work in unknown)
        if seconds < 1 and unknown:
            return "time left not known yet"
        return f"about {duration(seconds)} left" + (f", {' and '.join(kinds)} not counted" if kinds else "")

    def foreseen(self) -> tuple[float, list[Work]]:
        """(seconds that are left of what can be foreseen, the work that cannot)."""
        costs = self.costs
        if self._work is not None:
            seconds, done = time.monotonic() - self._work_started, self._computed - self._work_computed
            costs = costs.with_live(self._work, seconds, done)
        return costs.estimate(self.left)

    def speed(self) -> str:
        """Units and prompt tokens a second; empty where nothing was computed."""
        if not self._computed or self._seconds <= 0:
            return ""
        tokens = f", {self._tokens / self._seconds:,.0f} tokens/s" if self._tokens else ""
        return f"{self._computed / self._seconds:.3g} {self._unit}/s{tokens}"

    def facts(self, short: bool = False) -> str:
        """All that is known of the step and the run, in a line."""
        done = "" if short else f"{self._done:,}/{self._total:,} {self._unit}"
        answers = self._answers - self._answers_left()
        whole = f"{answers:,.0f}/{self._answers:,.0f} of the run" if self._answers else ""
        return ", ".join(filter(None, (self._text, done, whole, self.speed(), self.time_left())))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._step_started

    def _answers_left(self) -> float:
        return sum(units or 0 for work, units in self.left.items() if work.kind == "answer")

    def _bars(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[facts]}"),
        )
        return Progress(*columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
