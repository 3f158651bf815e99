"""Heads taken out of action, to see what depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape, language_model
from coreheads.adapters.kernels.visibility import Nothing, NoVision, Rule, Scope
from coreheads.adapters.patches.base import HeadPatch
from coreheads.adapters.value_checks import one_of
from coreheads.errors import UserError

Mode = Literal["zero", "mean", "vision"]


@dataclass(frozen=True)
class Ablate(HeadPatch):
    """Ablate heads of the language model, in prefill and decoding alike; all other heads are computed as ever.

    The change is made to a head's output, the slice [batch, Q, head_dim] of what o_proj reads.

    Attributes:
        heads: (layer, head) pairs, at least one.
        mode: What is done; by default ``vision``, which asks whether a head must see the picture: zeroing takes away
            what else a pretrained model needs a head for, too (docs/evidence.md).
            ``zero``: the output is 0.
            ``mean``: with ``means`` it is that vector in every row. Without, the row of a token is the mean of the
            head's value vectors over the tokens that it may see: the head still sums up what lies before it but
            chooses nothing (its queries are 0, its softmax is uniform). The mean is taken anew for every row and from
            tokens up to it only, so no later token leaks into an earlier one, and cached, chunked, padded and beam
            decoding give what one uncached forward gives.
            ``vision``: the head may not see the keys of vision tokens; a row that sees nothing outputs 0. The patch
            must be active from the prefill on.
        scope: Of mode ``vision``. ``text``: rows of text and of generated tokens may not see vision tokens, rows of
            vision tokens still may; ``all``: no row may.
        means: Float [layers, heads, head_dim] for mode ``mean``, say from ``collect_means``.
    """

    name: ClassVar[str] = "ablate"
    budget: ClassVar[str | None] = None  # it saves nothing

    mode: Mode = "vision"
    scope: Scope = "text"
    means: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.heads:
            raise UserError("Ablate: heads is empty, expected at least one (layer, head) pair")
        one_of("Ablate: mode is", self.mode, get_args(Mode))
        one_of("Ablate: scope is", self.scope, get_args(Scope))
        if self.means is not None and self.mode != "mean":
            raise UserError(f"Ablate: means is given with mode {self.mode!r}, expected mode 'mean'")

    @property
    def needs_vision(self) -> bool:  # type: ignore[override]
        """Vision tokens matter to the vision mode only."""
        return self.mode == "vision"

    def check(self, model: nn.Module) -> None:
        """UserError when heads lie outside the model, or ``means`` has another shape than its heads."""
        super().check(model)
        if self.means is not None:
            layers, heads, _ = head_shape(model)
            width = language_model(model).layers[0].self_attn.head_dim  # type: ignore[index, union-attr]
            if tuple(self.means.shape) != (layers, heads, width):
                raise UserError(f"Ablate: means has shape {tuple(self.means.shape)}, expected {(layers, heads, width)}")

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """``zero`` sees nothing, ``vision`` sees no vision token."""
        rule: dict[Mode, Rule] = {"zero": Nothing(), "vision": NoVision(self.scope)}
        return dict.fromkeys(self.chosen(layer), rule[self.mode]) if self.mode in rule else {}

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """``mean`` without ``means``: zero queries read all visible tokens alike."""
        chosen = self.chosen(layer)
        if self.mode != "mean" or self.means is not None or not chosen:
            return query
        query = query.clone()
        query[:, chosen] = 0
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """``mean`` with ``means``: put the given vectors."""
        chosen = self.chosen(layer)
        if self.means is None or not chosen:
            return output
        output = output.clone()
        output[:, :, chosen] = self.means[layer, chosen].to(output)
        return output

    def describe(self) -> dict[str, Any]:
        """{"patch", "mode", "heads"}, and what the mode adds."""
        about: dict[str, Any] = {"patch": self.name, "mode": self.mode, "heads": super().describe()["heads"]}
        if self.mode == "vision":
            about["scope"] = self.scope
        if self.mode == "mean":
            about["means"] = "values seen" if self.means is None else "given"
        return about
