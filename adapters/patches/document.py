"""Document attention: a page's tokens read their own page and all text, and no other page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from coreheads.adapters.kernels.visibility import OwnPage, Rule
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.value_checks import whole_number
from coreheads.errors import UserError

APART = ("qwen3_vl", "qwen3_vl_moe", "internvl")
"""Model types that write text between any two pictures, and none within one."""


@dataclass(frozen=True)
class Document(Patch):
    """In every head, a vision token sees the vision tokens of its own page, all text before it, and the first tokens.

    Definition: a page is an unbroken run of vision tokens, which is a picture or page, and of a video what lies between
    two time stamps or frame numbers. Of the tokens j <= i the vision token at position i (0 is the sample's first real
    token) sees those of its page, those of text, and those with ``j < sink``; text, and so every generated token, sees
    everything. It needs no scores and no profile, and is the cheapest pattern for prompts of many pages: other pages
    are skipped, not only hidden. With one page it is full attention.

    Source: the document mask among the patterns of BlindSight, arXiv 2507.09071.

    Published defaults: none that could be taken over. The reference chooses a pattern for each head, by measuring which
    heads lose nothing; here all heads are under the document mask, so that no head is chosen. All keys are kept.

    Refused by name where pages cannot be told apart: models that put the tokens of several pictures one after the
    other, or text within a picture.

    Attributes:
        sink: How many first tokens are seen by all.
    """

    name: ClassVar[str] = "document"
    cites: ClassVar[str] = "arXiv 2507.09071"
    needs_vision = True

    sink: int = 4

    def __post_init__(self) -> None:
        whole_number("Document: sink is", self.sink, least=0)

    def check(self, model: nn.Module) -> None:
        """UserError where the model's pages cannot be told apart."""
        config: Any = model.config
        if config.model_type not in APART:
            raise UserError(
                f"document: the pages of {config.model_type} cannot be told apart, expected one of {', '.join(APART)}"
            )

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """The same for all heads."""
        return dict.fromkeys(range(heads), OwnPage(self.sink))

    def pairs(self, shape: Shape, text: int, vision: int) -> None:
        """Not known: it depends on how long each page is."""
