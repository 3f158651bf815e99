"""Resolution: the same model on smaller pictures, the cheapest way to fewer vision tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from coreheads.adapters.families.registry import FAMILIES, families, family
from coreheads.adapters.generation.structure import prompts_read
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.value_checks import is_number
from coreheads.errors import UserError


@dataclass(frozen=True)
class Resolution(Patch):
    """Prompts show each picture and video with the most pixels that give at most ``keep`` of its vision tokens.

    A medium keeps its shape as nearly as the family's grid allows, and one token a temporal patch at least; a video
    keeps its frames. The model is as it is, and everything that depends on the number of tokens is cheaper: the
    preprocessing, the vision tower, the language model and the cache. Coordinates of questions, regions and answers
    are shares of a picture's sides and stay what they are.

    It is a family's own setting (Qwen3-VL's ``max_pixels``), said for each medium; nothing is published. ``keep`` is an
    upper bound, where patches that drop tokens leave that many exactly, and it must be known before a prompt is
    prepared: no budget is solved for it. For families whose pictures can be of any size: others show tiles and frames
    of a fixed number of tokens.

    In ``generate`` it takes prompts that were prepared so (``prepare(..., share=keep)``), as runs do, and refuses
    others, which would be answered as ever.

    Attributes:
        keep: The share of vision tokens, above 0 and at most 1; with 1 prompts are as they are.
    """

    name: ClassVar[str] = "resolution"

    keep: float = 0.25

    def __post_init__(self) -> None:
        if not is_number(self.keep) or not 0 < self.keep <= 1:
            raise UserError(f"Resolution: keep is {self.keep!r}, expected above 0 and at most 1 (0.25 means 25 %)")

    @property
    def shown(self) -> float:  # type: ignore[override]
        """What prompts are prepared with."""
        return self.keep

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """A ``with`` block in which the model is as ever: the prompt is another. UserError from a call with a prompt
        that was prepared with another share."""
        self.check(model)
        return self._asked(model)

    @contextmanager
    def _asked(self, model: nn.Module) -> Iterator[nn.Module]:
        def look(*_: object) -> None:
            for prompt in prompts_read(model):
                if prompt.share != self.keep:
                    raise UserError(
                        f"resolution: the prompt was prepared with share={prompt.share:g} of its vision tokens, "
                        f"expected share={self.keep:g}"
                    )

        hook = model.register_forward_pre_hook(look)
        try:
            yield model
        finally:
            hook.remove()

    def check(self, model: nn.Module) -> None:
        """UserError for a family that shows no picture with fewer tokens."""
        config: Any = model.config
        own = str(config.model_type)
        if own not in families() or not family(own, own).shrinks:
            able = [name for name in FAMILIES if family(name, name).shrinks]
            raise UserError(
                f"Resolution: cannot show pictures to {config.model_type} at any size: its tiles and frames have a "
                f"fixed number of tokens, expected a model of {', '.join(able)}"
            )

    def tokens_left(self, layers: int, text: int, vision: int) -> list[int]:
        """As many in each layer, at most."""
        return [text + min(vision, max(1, int(self.keep * vision)))] * layers
