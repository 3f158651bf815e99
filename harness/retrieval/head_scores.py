"""The head scores, by name. To add one: write its function in a file of its own and name it in ``SCORES``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from coreheads.errors import UserError, expected_one_of
from coreheads.heads.schema import Normalization
from coreheads.regions import Region

if TYPE_CHECKING:
    import torch

SCORES = {"ram": "coreheads.retrieval.ram:retrieval_attention_mass"}
"""Name in heads.json -> ``module:function``, imported when it is used."""


class HeadScore(Protocol):
    """Scores every head of the language model on one prompt: float32 [layers, heads], higher is more of a CoRe head."""

    def __call__(
        self, adapter: Any, prompt: Any, regions: Sequence[Region], *, normalization: Normalization | None
    ) -> torch.Tensor: ...


def head_score(name: str) -> HeadScore:
    """The score of this name; UserError when there is none."""
    if name not in SCORES:
        raise UserError(f"score is {name!r}, {expected_one_of(name, sorted(SCORES))}")
    module, function = SCORES[name].split(":")
    score: HeadScore = getattr(import_module(module), function)
    return score
