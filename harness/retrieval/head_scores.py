"""The head scores, by name. To add one: write its function in a file of its own and name it in ``SCORES``.

A function of single prompts is called with ``(adapter, prompt, regions, *, answer)`` and gives float32 [layers, heads],
higher is more of a retrieval head; one ``of_set`` with ``(adapter, prompts, answers)`` and gives as much of all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Literal, get_args

from coreheads import named
from coreheads.errors import UserError, expected_one_of
from coreheads.hashing.contents import json_hash
from coreheads.hashing.source_code import code_hash

if TYPE_CHECKING:
    import torch

GROUP = "coreheads.scores"
"""The entry points by which other packages name their scores: ``name = "package.module:SCORE"``, a ``Score``."""

Need = Literal["regions", "query", "answer", "gradient"]


@dataclass(frozen=True)
class Score:
    """A head score, and what it needs.

    Attributes:
        name: What configurations, files and the command line call it.
        function: ``module:function``, imported when it is used.
        needs: Of a record the ground-truth regions, the query's own tokens or the right answer as text; of the model
            gradients.
        of_set: Whether it takes all prompts of a task at once and gives one matrix.
        cites: Where it was published; empty for what is common.
        normalized: Whether it takes a ``normalization``.
    """

    name: str
    function: str
    needs: frozenset[Need] = frozenset()
    of_set: bool = False
    cites: str = ""
    normalized: bool = False

    @property
    def title(self) -> str:
        """What a sentence calls it."""
        return "RAM" if self.name == "ram" else f"score {self.name}"

    @property
    def needing_regions(self) -> str | None:
        """Its title where it needs regions, as ``Task.check_profile`` wants it."""
        return self.title if "regions" in self.needs else None

    def load(self) -> Callable[..., torch.Tensor]:
        """The function."""
        module, function = self.function.split(":")
        loaded: Callable[..., torch.Tensor] = getattr(import_module(module), function)
        return loaded

    def code(self) -> str:
        """A hash of what computes it: of ours with all that it imports, of another package's its module."""
        return _code(self.function.partition(":")[0])

    def check_normalization(self, normalization: str | None) -> None:
        """UserError where it takes none."""
        if normalization is not None and not self.normalized:
            raise UserError(f"normalization is {normalization!r}, expected none: {self.title} has no normalization")


_ROWS = "coreheads.retrieval.row_scores"
_REGIONS: frozenset[Need] = frozenset({"regions"})
_ANSWER: frozenset[Need] = frozenset({"answer"})
_GRADIENT: frozenset[Need] = frozenset({"answer", "gradient"})
_ROWS, _GRADIENTS, _ABLATION = (f"coreheads.retrieval.{name}" for name in ("row_scores", "gradients", "ablation"))

SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score("ram", "coreheads.retrieval.ram:ram", _REGIONS | {"query"}, normalized=True),
        Score("answer_rows", f"{_ROWS}:answer_rows", _REGIONS | _ANSWER),
        Score("concentration", "coreheads.retrieval.concentration:concentration", frozenset({"query"})),
        Score("duo", "coreheads.retrieval.duo:duo", _GRADIENT, of_set=True, cites="arXiv 2410.10819"),
        Score("head_attribution", f"{_ABLATION}:head_attribution", _ANSWER, cites="arXiv 2509.17588"),
        Score("headkv_r2", f"{_ROWS}:headkv_r2", _REGIONS | _ANSWER, cites="arXiv 2410.19258"),
        Score("integrated_gradients", f"{_GRADIENTS}:integrated_gradients", _GRADIENT, cites="arXiv 1703.01365"),
        Score("last_token", f"{_ROWS}:last_token", _REGIONS),
        Score("qrhead", "coreheads.retrieval.qrhead:qrhead", _REGIONS | {"query"}, cites="arXiv 2506.09944"),
        Score("single_ablation", f"{_ABLATION}:single_ablation", _ANSWER, cites="arXiv 1905.10650"),
        Score("taylor", f"{_GRADIENTS}:taylor", _GRADIENT, cites="arXiv 1905.10650"),
        Score("visual_hit", f"{_ROWS}:visual_hit", _REGIONS | _ANSWER, cites="arXiv 2506.05344"),
    )
}


def score_names() -> tuple[str, ...]:
    """Every name that ``head_score`` takes: ours, then those of installed packages."""
    return (*SCORES, *sorted(_foreign()))


def head_score(name: str) -> Score:
    """The score of this name, or at ``module:name``, a ``Score`` or a function of single prompts; UserError where there
    is none, or another package's cannot be used.

    A function needs what its attribute ``needs`` says; one without is asked of records with regions and a query.
    """
    if name in SCORES:
        return SCORES[name]
    if named.is_named(name):
        own = named.load(name, "score")
        if isinstance(own, Score):
            return replace(own, name=name)
        if not callable(own):
            raise UserError(f"score {name!r}: is a {type(own).__name__}, expected a Score or a function")
        needs = frozenset(getattr(own, "needs", ("regions", "query")))
        if unknown := needs - set(get_args(Need)):
            raise UserError(f"score {name!r}: needs {sorted(unknown)[0]!r}, expected of {', '.join(get_args(Need))}")
        return Score(name, name, needs)
    foreign = _foreign()
    if name not in foreign:
        raise UserError(f"score is {name!r}, {expected_one_of(name, score_names())}")
    point = foreign[name]
    source = f"score {name!r} of entry point {point.value}"
    found = named.load_point(point, source)
    if not (isinstance(found, Score) and found.name == name):
        raise UserError(f"{source}: is no score, expected a Score whose name is {name!r}")
    return found


def _foreign() -> dict[str, EntryPoint]:
    """Scores of installed packages by name, not loaded; our own names stay ours."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in SCORES}


@cache
def _code(module: str) -> str:
    if module.startswith("coreheads."):
        return code_hash([module], ["coreheads.retrieval", "coreheads.adapters"])
    try:
        return json_hash(inspect.getsource(import_module(module)))
    except (OSError, TypeError):  # made without a file
        return ""
