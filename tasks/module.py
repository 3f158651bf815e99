"""What a benchmark's module offers: a few plain functions of its records, and some more that it may leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, cast

from coreheads.regions import Region
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.reading.sources import Source

Options = Mapping[str, Any]
"""A task's options by name, all of them, checked."""


class TaskModule(Protocol):
    """What every benchmark's module must have."""

    def expected(self, split: str, options: Options) -> list[tuple[str, str]]:
        """What a published split is read from: (name or pattern, what it is); " or " stands between alternatives."""

    def records(self, source: Source, split: str, options: Options) -> list[Doc]:
        """A published split's samples; no media are opened, and one that cannot be used says so under ``bad``."""

    def messages(self, doc: Doc) -> list[dict[str, Any]]:
        """The prompt in the chat format of lmms-eval and transformers; images as PIL, videos as path."""

    def query(self, doc: Doc) -> str:
        """The words of the prompt that name what is looked for."""

    def regions(self, doc: Doc) -> list[Region]:
        """Where the answer is; empty where the benchmark does not say."""

    def target(self, doc: Doc) -> str:
        """A right answer as the prompt asks for it."""

    def scores(self, doc: Doc, response: str) -> dict[str, float]:
        """A response's score by each of the task's metrics.

        Args:
            doc: One of ``records``.
            response: The model's answer.

        Returns:
            Scores by the metrics' names.

        Raises:
            BadSample: The sample itself cannot be scored.
        """


class OptionalFunctions(Protocol):
    """What a benchmark's module may have; these hold where it has not."""

    def details(self, doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
        """What each of the task's aggregates needs to know of a response that has these scores."""
        return {}

    def aggregate(self, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
        """The set's scores that are not means over samples.

        Args:
            rows: What ``details`` gave for every sample.

        Returns:
            Scores by name: those of the task's ``aggregates`` whose details the rows hold.
        """
        return {}

    def media(self, doc: Doc) -> list[Content]:
        """What a usable record points to that its prompt or its truth depends on; BadSample where that is not there."""
        return []

    def problems(self, doc: Doc) -> list[str]:
        """What is odd about a record that can be used nevertheless."""
        return []

    def variant(self, options: Options) -> str | None:
        """What a figure of the task must be quoted with; None where no choice changes it."""
        return None

    def archives(self, options: Options) -> list[str]:
        """The archives that the hub has, without their endings; empty where it has the files themselves."""
        return []


class TaskFunctions(TaskModule, OptionalFunctions, Protocol):
    """A module's functions, with the defaults of those that it leaves out."""


class _Loaded(OptionalFunctions):
    def __init__(self, module: ModuleType) -> None:
        vars(self).update(vars(module))


def load(name: str) -> TaskFunctions:
    """The functions of a benchmark's module, by its dotted name, such as ``coreheads.tasks.mlvu.task``."""
    return cast(TaskFunctions, _Loaded(import_module(name)))
