"""A patch on heads on top of a method that drops tokens: both at once, as one patch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn
from transformers.cache_utils import Cache

from coreheads.adapters.patches.attention import by_position
from coreheads.adapters.patches.base import Patch
from coreheads.errors import UserError


@dataclass(frozen=True)
class OnTop(Patch):
    """``patch`` acts on the tokens that ``below`` leaves.

    Places are then those among the tokens that are left: hybrid attention's first ``sink`` tokens are the first ones
    that a layer was given, and its window holds as many of its last ones. Ours; nothing is published.

    Attributes:
        patch: On heads, and without need of the tokens' positions in the prompt.
        below: Drops tokens.
    """

    name: ClassVar[str] = "on_top"
    drops = True
    single = True

    patch: Patch
    below: Patch

    def __post_init__(self) -> None:
        if not self.below.drops:
            raise UserError(f"on: patch {self.below.name} drops no tokens, expected one that does, such as cdpruner")
        if not self.patch.takes_heads:
            raise UserError(f"on: patch {self.patch.name} takes no heads, expected one that does on {self.below.name}")
        if by_position(self.patch):
            mode = f" (mode {mode})" if (mode := getattr(self.patch, "mode", "")) else ""
            raise UserError(
                f"on: {self.patch.name}{mode} goes by tokens' positions, which {self.below.name} changes: not together"
            )

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Both, the one that drops outside."""
        return self._both(model)

    @contextmanager
    def _both(self, model: nn.Module) -> Iterator[nn.Module]:
        with self.below(model), self.patch(model):
            yield model

    def check(self, model: nn.Module) -> None:
        """UserError where either does not fit the model."""
        self.below.check(model)
        self.patch.check(model)

    def tokens_left(self, layers: int, text: int, vision: int) -> list[int]:
        """As the method below leaves them."""
        return self.below.tokens_left(layers, text, vision)

    def cache(self, model: nn.Module) -> Cache | None:
        """The upper one's: it is given what is left."""
        return self.patch.cache(model)

    def kv_ratio(self, model: nn.Module, tokens: int) -> float | None:
        """None: of how many tokens were vision tokens only the cache knows."""
        return None

    def ceiling(self) -> Patch | None:
        """With the attention that the upper one shortens left out."""
        upper = self.patch.ceiling()
        return None if upper is None else replace(self, patch=upper)

    def describe(self) -> dict[str, Any]:
        """The upper one, and ``on`` the lower one."""
        return {**self.patch.describe(), "on": self.below.describe()}
