"""What every patch of a model is: a reversible change of its language model's attention, used as a context manager."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from torch import nn
from transformers.cache_utils import Cache

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.kernels.work_count import causal_pairs
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.dropping import dropped
from coreheads.adapters.patches.hooks import AttentionHooks
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import UserError
from coreheads.heads.types import Heads, by_layer, head_name


class Patch(AttentionHooks):
    """A change of how the language model attends, or of what it reads.

    ``with patch(model): ...`` applies it and takes it back.

    Patches nest: the rules of all of them hold at once, and outputs are edited by the outer one first.

    Attributes:
        name: What configurations and files call the patch.
        takes_heads: Whether its first field is ``heads``, which a configuration selects.
        budget: The parameter that says how much it leaves: a field, or ``fraction`` of the heads' selection; None where
            there is nothing to turn.
        budget_of: What that is a share of: the dense prefill's FLOPs, or the dense cache's bytes (``kv``).
        cites: Where it was published; empty for what is our own or common.
        shown: The share of each medium's vision tokens that prompts are prepared with.
    """

    name: ClassVar[str] = "patch"
    takes_heads: ClassVar[bool] = False
    budget: ClassVar[str | None] = None
    budget_of: ClassVar[Literal["flops", "kv"]] = "flops"
    cites: ClassVar[str] = ""
    shown: float = 1.0

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Apply the patch within a ``with`` block.

        Args:
            model: A transformers multimodal model.

        Returns:
            A context manager that gives the model back.

        Raises:
            UserError: If the patch does not fit the model.
        """
        self.check(model)
        return dropped(model, self) if self.drops else attached(model, self)

    def check(self, model: nn.Module) -> None:
        """Raise UserError where the patch does not fit the model."""

    def cache(self, model: nn.Module) -> Cache | None:
        """A cache that keeps only what the patch needs; None: any cache serves."""
        return None

    def kv_ratio(self, model: nn.Module, tokens: int) -> float | None:
        """KV bytes kept at ``tokens`` tokens over those of a dense cache; None where the patch keeps all."""
        return None

    def kv_share(self, model: nn.Module, tokens: int, after: int) -> float | None:
        """As ``kv_ratio``, where it is known how many of the tokens come after the last vision token."""
        return self.kv_ratio(model, tokens)

    def tokens_left(self, layers: int, text: int, vision: int) -> list[int]:
        """How many tokens of a prompt of so many text and vision tokens enter each of the layers."""
        return [text + vision] * layers

    def pairs(self, shape: Shape, text: int, vision: int) -> int | None:
        """Query-key pairs that its pattern has in the prefill of such a prompt, over all layers and heads.

        A kernel may compute more of them, where it takes blocks. None where the numbers of tokens do not tell.
        """
        return shape.heads * sum(causal_pairs(left, left) for left in self.tokens_left(shape.layers, text, vision))

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """FLOPs of the matrix products by which it chooses, in a prompt whose vision tokens are runs of these lengths,
        unbroken by text."""
        return 0

    def least_of(self, prompt: Prompt) -> int:
        """How many of a prompt's vision tokens stay whatever its budget parameter says."""
        return 0

    def for_prompt(self, model: nn.Module, prompt: Prompt) -> Patch:
        """What is applied for a prompt: the patch itself, unless it is made for each."""
        return self

    def kept_ratio(self, model: nn.Module, tokens: int, counted: float | None) -> float | None:
        """``kv_ratio`` as it was counted, where it was; None also where nothing less was, and the patch keeps all."""
        claimed = self.kv_ratio(model, tokens)
        return claimed if counted is None or (counted == 1 and claimed is None) else counted

    def ceiling(self) -> Patch | None:
        """The patch with the attention that it shortens left out, which bounds its speed; None where it has none."""
        return None

    def describe(self) -> dict[str, Any]:
        """The patch and its parameters, for JSON: of a dataclass every field by its name."""
        names: list[str] = [field.name for field in fields(self)] if is_dataclass(self) else []
        return {"patch": self.name, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class HeadPatch(Patch):
    """A patch with chosen heads of the language model.

    Attributes:
        heads: (layer, head) pairs; any iterable of pairs is taken.
    """

    takes_heads: ClassVar[bool] = True
    budget: ClassVar[str | None] = "fraction"

    heads: Heads

    def __post_init__(self) -> None:
        where, heads = type(self).__name__, self.heads
        try:
            pairs = [tuple(pair) for pair in heads]
        except TypeError:
            raise UserError(f"{where}: heads is {heads!r}, expected (layer, head) pairs") from None
        for pair in pairs:
            if len(pair) != 2 or any(isinstance(part, bool) or not isinstance(part, int) or part < 0 for part in pair):
                raise UserError(f"{where}: head {pair!r}, expected a (layer, head) pair of whole numbers from 0")
        object.__setattr__(self, "heads", frozenset(pairs))

    def check(self, model: nn.Module) -> None:
        """UserError where a head lies outside the model's language model."""
        layers, width, _ = head_shape(model)
        outside = sorted(head for head in self.heads if head[0] >= layers or head[1] >= width)
        if outside:
            raise UserError(
                f"{type(self).__name__}: head {head_name(outside[0])} is not in {type(model).__name__}, "
                f"expected layers 0 to {layers - 1} and heads 0 to {width - 1}"
            )

    def chosen(self, layer: int) -> list[int]:
        """The chosen heads of a layer, ascending."""
        return self._by_layer.get(layer, [])

    @cached_property
    def _by_layer(self) -> dict[int, list[int]]:
        return by_layer(self.heads)

    def describe(self) -> dict[str, Any]:
        """{"patch": its name, "heads": sorted pairs}, and every other field by its name."""
        return {**super().describe(), "heads": [list(head) for head in sorted(self.heads)]}
