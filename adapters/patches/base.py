"""What every patch of a model is: a reversible change of its language model's attention, used as a context manager."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.kernels.rules import Group, Rule
from coreheads.errors import UserError
from coreheads.heads.types import Head, Heads, head_name


@dataclass(frozen=True)
class Step:
    """What one layer's attention works on in one forward call, for one sample, left padding cut away.

    query [1, heads, Q, head_dim] and key, value [1, kv heads, K, head_dim] carry rotary positions; the queries are
    the last Q of the K tokens. ``groups`` says what the heads may see, ``vision`` (bool [K] or None) where V is.
    """

    layer: int
    sample: int
    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    groups: tuple[Group, ...]
    vision: Tensor | None


class Patch:
    """A change of how the language model attends: ``with patch(model): ...`` applies it and takes it back.

    Patches nest: the rules of all of them hold at once, and outputs are edited by the outer one first. A subclass
    overrides what it changes.
    """

    name: ClassVar[str] = "patch"
    needs_vision: bool = False
    observes: bool = False

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Apply to a transformers multimodal model within a ``with`` block, which gives the model back."""
        from coreheads.adapters.patches.attention import attached

        self.check(model)
        return attached(model, self)

    def check(self, model: nn.Module) -> None:
        """Raise UserError where the patch does not fit the model."""

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """What the heads of a layer may see; a head that is left out keeps full causal attention."""
        return {}

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """Queries [batch, heads, Q, head_dim] -> the queries to attend with."""
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Head outputs [batch, Q, heads, head_dim] -> what o_proj gets; the last ``rows[b]`` of the Q are real."""
        return output

    def observe(self, step: Step) -> None:
        """See queries and keys; called once a layer, forward and sample when ``observes``."""

    def describe(self) -> dict[str, Any]:
        """The patch and its parameters, for JSON."""
        return {"patch": self.name}


def as_heads(heads: Any, where: str) -> Heads:
    """(layer, head) pairs of any iterable as a frozen set; UserError for anything else."""
    try:
        pairs = [tuple(pair) for pair in heads]
    except TypeError:
        raise UserError(f"{where}: heads is {heads!r}, expected (layer, head) pairs") from None
    for pair in pairs:
        if len(pair) != 2 or any(isinstance(part, bool) or not isinstance(part, int) or part < 0 for part in pair):
            raise UserError(f"{where}: head {pair!r}, expected a (layer, head) pair of whole numbers from 0")
    return frozenset((layer, head) for layer, head in pairs)


def check_heads(heads: Heads, model: nn.Module, where: str) -> None:
    """UserError when a head lies outside the model's language model."""
    layers, width, _ = head_shape(model)
    outside: list[Head] = sorted(head for head in heads if head[0] >= layers or head[1] >= width)
    if outside:
        raise UserError(
            f"{where}: head {head_name(outside[0])} is not in {type(model).__name__}, "
            f"expected layers 0 to {layers - 1} and heads 0 to {width - 1}"
        )


def pairs(heads: Heads) -> list[list[int]]:
    """Heads as sorted lists, for JSON."""
    return [list(head) for head in sorted(heads)]
