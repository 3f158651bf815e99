"""Heads taken out of action, to see what depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape, language_model
from coreheads.adapters.kernels.rules import Nothing, NoVision, Rule, Scope
from coreheads.adapters.patches.base import Patch, as_heads, check_heads, pairs
from coreheads.errors import UserError, expected_one_of
from coreheads.heads.types import Heads, by_layer

Mode = Literal["zero", "mean", "vision"]


@dataclass(frozen=True)
class Ablate(Patch):
    """Ablate heads of the language model, in prefill and decoding alike; all other heads are computed as ever.

    The change is made to a head's output, the slice [batch, Q, head_dim] of what o_proj reads:

    - ``zero``: it is 0.
    - ``mean``: with ``means`` (float [layers, heads, head_dim], say from ``collect_means``) it is that vector in
      every row. Without, the row of a token is the mean of the head's value vectors over the tokens that it may see:
      the head still sums up what lies before it but chooses nothing (its queries are 0, its softmax is uniform). The
      mean is taken anew for every row and from tokens up to it only, so no later token leaks into an earlier one, and
      cached, chunked, padded and beam decoding give what one uncached forward gives.
    - ``vision``: the head may not see the keys of vision tokens. ``scope="text"``: rows of text and of generated tokens
      may not, rows of vision tokens still may; ``scope="all"``: no row may. A row that sees nothing outputs 0.
      The patch must be active from the prefill on.
    """

    name: ClassVar[str] = "ablate"

    heads: Heads
    mode: Mode = "zero"
    scope: Scope = "text"
    means: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", as_heads(self.heads, "Ablate"))
        if not self.heads:
            raise UserError("Ablate: heads is empty, expected at least one (layer, head) pair")
        if self.mode not in get_args(Mode):
            raise UserError(f"Ablate: mode is {self.mode!r}, {expected_one_of(self.mode, get_args(Mode))}")
        if self.scope not in get_args(Scope):
            raise UserError(f"Ablate: scope is {self.scope!r}, {expected_one_of(self.scope, get_args(Scope))}")
        if self.means is not None and self.mode != "mean":
            raise UserError(f"Ablate: means is given with mode {self.mode!r}, expected mode 'mean'")
        object.__setattr__(self, "_by_layer", by_layer(self.heads))

    @property
    def needs_vision(self) -> bool:  # type: ignore[override]
        """Vision tokens matter to the vision mode only."""
        return self.mode == "vision"

    def check(self, model: nn.Module) -> None:
        """UserError when heads lie outside the model, or ``means`` has another shape than its heads."""
        check_heads(self.heads, model, "Ablate")
        if self.means is not None:
            layers, heads, _ = head_shape(model)
            width = language_model(model).layers[0].self_attn.head_dim  # type: ignore[index, union-attr]
            if tuple(self.means.shape) != (layers, heads, width):
                raise UserError(f"Ablate: means has shape {tuple(self.means.shape)}, expected {(layers, heads, width)}")

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """``zero`` sees nothing, ``vision`` sees no vision token."""
        rule: Rule
        if self.mode == "zero":
            rule = Nothing()
        elif self.mode == "vision":
            rule = NoVision(self.scope)
        else:
            return {}
        return dict.fromkeys(self._chosen(layer), rule)

    def edit_query(self, layer: int, query: Tensor) -> Tensor:
        """``mean`` without ``means``: zero queries read all visible tokens alike."""
        chosen = self._chosen(layer)
        if self.mode != "mean" or self.means is not None or not chosen:
            return query
        query = query.clone()
        query[:, chosen] = 0
        return query

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """``mean`` with ``means``: put the given vectors."""
        chosen = self._chosen(layer)
        if self.means is None or not chosen:
            return output
        output = output.clone()
        output[:, :, chosen] = self.means[layer, chosen].to(output)
        return output

    def describe(self) -> dict[str, Any]:
        """{"patch", "mode", "heads"}, and what the mode adds."""
        about: dict[str, Any] = {"patch": self.name, "mode": self.mode, "heads": pairs(self.heads)}
        if self.mode == "vision":
            about["scope"] = self.scope
        if self.mode == "mean":
            about["means"] = "values seen" if self.means is None else "given"
        return about

    def _chosen(self, layer: int) -> list[int]:
        chosen: dict[int, list[int]] = self._by_layer  # type: ignore[attr-defined]
        return chosen.get(layer, [])
