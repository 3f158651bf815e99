"""Budgets: a patch that is turned anew for every prompt, until it costs a given share of what the dense model does."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape, dense_flops, flops
from coreheads.adapters.patches.registry import make_patch, patch_class
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import UserError
from coreheads.hashing.contents import json_hash
from coreheads.heads.types import Heads

TOLERANCE = 0.02
"""How far from its budget a prompt may be: of all dense work where a step of the parameter is that large, and of the
budget itself where the method ends before it."""
STEPS = 4096
"""Values of a share that are tried, evenly spaced: one vision token each on prompts of up to so many."""
WORK = {"flops": "of the dense prefill's FLOPs", "kv": "of the dense cache's bytes"}


class Cannot(Exception):
    """A method does not reach a budget on a prompt: no fault, but what the method is like. The message says why."""


def cost(
    patch: Patch, model: nn.Module, text: int, runs: Sequence[int], after: int = 0, shape: Shape | None = None
) -> float | None:
    """What a patch costs on a prompt of so many text and vision tokens, over the dense model's cost.

    Args:
        patch: Made for good: its ``budget_of`` says what is counted, FLOPs of the language model's prefill, choosing
            included, or bytes of the cache after it.
        model: The model that it is for.
        text: Text tokens of the prompt.
        runs: Lengths of the prompt's runs of vision tokens, unbroken by text.
        after: How many text tokens come after the last vision token, which matters to what a cache keeps.
        shape: The model's, where it is known.

    Returns:
        1 for what costs as much; None where the numbers of tokens do not tell.
    """
    vision = sum(runs)
    if patch.budget_of == "kv":
        kept = patch.kv_share(model, text + vision, after)
        return 1.0 if kept is None else kept
    shape = shape or Shape.of(model)
    pairs = patch.pairs(shape, text, vision)
    if pairs is None:
        return None
    spent = flops(shape, patch.tokens_left(shape.layers, text, vision), pairs) + patch.choice_flops(shape, text, runs)
    return spent / dense_flops(shape, text + vision)


def runs_of(places: Tensor) -> tuple[int, ...]:
    """Lengths of the unbroken runs in a prompt's places of vision tokens, ascending."""
    breaks = (places.diff() != 1).nonzero()[:, 0] + 1
    edges = [0, *breaks.tolist(), len(places)]
    return tuple(end - start for start, end in pairwise(edges) if end > start)


def check_counted(patch: Budgeted, ratios: Sequence[float]) -> None:
    """Cannot where the prompts' counted costs over the dense model's are not the budget on average."""
    mean = sum(ratios) / len(ratios) if ratios else patch.share
    if abs(mean - patch.share) > TOLERANCE:
        of = WORK[patch_class(patch.kind).budget_of]
        raise Cannot(f"{patch.kind} took {mean:.3f} {of} as counted, expected {patch.share:g}")


@dataclass(frozen=True, eq=False)
class Budgeted(Patch):
    """A kind of patch whose ``budget`` parameter is solved for every prompt: ``for_prompt`` gives the patch
    that is applied.

    The parameter is tried in steps: whole numbers up to the prompt's length where its default is one, heads one by one
    where it is the fraction of heads, else shares in steps of 1 / STEPS. The cost rises or falls with it; of the two
    steps around the budget the nearer one is taken.

    Attributes:
        kind: The patch's registered name.
        share: The budget, above 0 and at most 1 of the dense cost.
        params: All other parameters.
        heads: The heads of a fraction, for a patch that takes heads.
    """

    kind: str
    share: float
    params: Mapping[str, Any] = field(default_factory=dict)
    heads: Callable[[float], Heads] | None = None

    def __post_init__(self) -> None:
        if self._class.budget is None:
            raise UserError(f"patch {self.kind}: has no parameter to turn, expected no budget")

    @property
    def evicts(self) -> int:  # type: ignore[override]
        """As the patch's."""
        return self.turned(1.0).evicts

    @property
    def unseen(self) -> bool:  # type: ignore[override]
        """As the patch's."""
        return self.turned(1.0).unseen

    def check(self, model: nn.Module) -> None:
        """UserError where the patch does not fit the model."""
        self.turned(1.0).check(model)

    def __call__(self, model: nn.Module) -> Any:
        """Refused: which patch it is depends on the prompt."""
        raise ValueError(f"{self.kind} on a budget is another patch for every prompt: use for_prompt")

    def for_prompt(self, model: nn.Module, prompt: Prompt) -> Patch:
        """The patch that costs ``share`` on the prompt; Cannot where none does."""
        places = prompt.vision_tokens
        after = prompt.tokens - (int(places[-1]) + 1 if len(places) else 0)
        text, runs = prompt.tokens - len(places), runs_of(places)
        patch = self.solved(model, text, runs, after)
        # what goes by frames keeps some of each, which the numbers of tokens do not tell
        if (least := patch.least_of(prompt)) > 1:
            spent = cost(self.turned(least / len(places)), model, text, runs, after)
            if spent is not None and spent - self.share > TOLERANCE:
                raise Cannot(
                    f"{self.kind} keeps {least:,} of {len(places):,} vision tokens at least, {spent:.3f} "
                    f"{WORK[self._class.budget_of]}, expected {self.share:g}"
                )
        return patch

    def solved(self, model: nn.Module, text: int, runs: tuple[int, ...], after: int = 0) -> Patch:
        """The patch that costs ``share`` on a prompt of so many text tokens and runs of vision tokens; ``after`` of the
        text tokens come after the last vision token.

        Raises:
            Cannot: None does.
        """
        key = id(model), text, runs, after
        if key not in self._solved:
            self._solved[key] = self._solve(model, text, runs, after)
        return self._solved[key]

    def kv_ratio(self, model: nn.Module, tokens: int) -> float | None:
        """Of the last prompt of so many tokens; None where none was solved."""
        known = [patch for (_, text, runs, _), patch in self._solved.items() if text + sum(runs) == tokens]
        return known[-1].kv_ratio(model, tokens) if known else None

    def turned(self, value: float) -> Patch:
        """The patch with its budget parameter at a value; the same object for the same value."""
        if value not in self._turned:
            if self.heads is not None:
                self._turned[value] = make_patch(self.kind, self.heads(value), **self.params)
            else:
                own = {str(self._class.budget): max(1, round(value)) if self._is_whole else value}
                self._turned[value] = make_patch(self.kind, **{**self.params, **own})
        return self._turned[value]

    def describe(self) -> dict[str, Any]:
        """The patch, its other parameters and its budget, and a hash of the heads of every fraction."""
        about = {"patch": self.kind, **self.params, "budget": self.share, "budget_of": self._class.budget_of}
        if self.heads is not None:
            total = len(self.heads(1.0))
            about["heads"] = json_hash([sorted(self.heads(count / total)) for count in range(1, total + 1)])
        return about

    def _solve(self, model: nn.Module, text: int, runs: tuple[int, ...], after: int) -> Patch:
        vision = sum(runs)
        shape = Shape.of(model)
        layers, width, _ = head_shape(model)
        last = layers * width if self.heads is not None else text + vision if self._is_whole else STEPS
        spent: dict[int, float] = {}

        def at(step: int) -> float:
            if step not in spent:
                own = cost(self.turned(value(step)), model, text, runs, after, shape)
                if own is None:
                    raise Cannot(f"what {self.kind} costs is not told by a prompt's numbers of tokens")
                spent[step] = own
            return spent[step]

        def value(step: int) -> float:
            return step if self._is_whole else step / last

        sign = 1 if at(last) >= at(1) else -1
        found = bisect_left(range(1, last + 1), sign * self.share, key=lambda step: sign * at(step)) + 1
        # of steps that are as near the share itself, so that prompts of different lengths have one patch
        steps = (step for step in (round(self.share * last), found - 1, found) if 1 <= step <= last)
        best = min(steps, key=lambda s: abs(at(s) - self.share))
        low, high = sorted((at(1), at(last)))
        slack = TOLERANCE * (1 if low <= self.share <= high else self.share)
        if abs(at(best) - self.share) > slack:
            raise Cannot(
                f"{self.kind} comes no nearer than {at(best):.3f} to {self.share:g} {WORK[self._class.budget_of]} "
                f"on a prompt of {text:,} text and {vision:,} vision tokens"
            )
        return self.turned(value(best))

    @cached_property
    def _solved(self) -> dict[tuple[int, int, tuple[int, ...], int], Patch]:
        return {}

    @cached_property
    def _turned(self) -> dict[float, Patch]:
        return {}

    @cached_property
    def _class(self) -> type[Patch]:
        return patch_class(self.kind)

    @cached_property
    def _is_whole(self) -> bool:
        """Whether the parameter is a whole number."""
        defaults = {own.name: own.default for own in fields(self._class)}  # type: ignore[arg-type]
        return self.heads is None and isinstance(defaults.get(str(self._class.budget)), int)
