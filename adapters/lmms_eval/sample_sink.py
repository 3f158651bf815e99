"""Where the answers of one cell go, and where those come from that are known already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from coreheads.adapters.generation.generate import Generation

NOT_FINITE = "logits are not finite"
"""How the reason begins for which an answer of NaN or infinite logits has no score."""


@dataclass(frozen=True)
class Refusal:
    """A document without an answer, which is in no score.

    Attributes:
        reason: Why, in one line.
        by: Whose fault it is: "data" may be mended; "model" would not answer otherwise when asked again.
    """

    reason: str
    by: Literal["data", "model"] = "data"


def usable(generation: Generation) -> Generation | Refusal:
    """The answer; a refusal where its logits were non-finite."""
    if generation.finite:
        return generation
    return Refusal(f"{NOT_FINITE} (token {generation.broken_at} of its answer)", "model")


class SampleSink(Protocol):
    """What keeps a cell's answers; ``CoreHeads.cell`` is given one."""

    def known(self, index: int) -> str | None:
        """The answer of a document, by its index in the split, that is not to be asked; None where it is."""

    def put(self, answers: Mapping[int, Generation | Refusal]) -> None:
        """Take a batch's answers by document index. The next batch starts when this returns."""
