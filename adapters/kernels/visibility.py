"""What a head may see, beyond causality: the rules that patches lay on heads, and heads grouped by their rules.

Positions count the real tokens of one sample: 0 is its first token after left padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["text", "all"]


@dataclass(frozen=True)
class Local:
    """A query at position i sees key j when ``j < sink`` or ``i - j < window``."""

    sink: int
    window: int

    def visible(self, rows: Tensor, columns: Tensor, vision: Tensor | None) -> Tensor:
        """Bool [Q, K] for query positions ``rows`` [Q] and key positions ``columns`` [K]."""
        return (columns < self.sink)[None, :] | (rows[:, None] - columns[None, :] < self.window)


@dataclass(frozen=True)
class NoVision:
    """No vision token is seen by the rows of text (``text``; generated tokens are text) or by all rows (``all``)."""

    scope: Scope

    def visible(self, rows: Tensor, columns: Tensor, vision: Tensor | None) -> Tensor:
        """Bool [Q, K]; ``vision`` is the bool [tokens] mask of the sample's vision tokens."""
        if vision is None:
            raise ValueError(
                "Ablate(mode='vision') does not know which tokens are vision: call the model with input_ids, "
                "and apply the patch before the prefill whose cache is used"
            )
        text_columns = (~vision[columns])[None, :]
        return text_columns | vision[rows][:, None] if self.scope == "text" else text_columns.expand(len(rows), -1)


@dataclass(frozen=True)
class Nothing:
    """Nothing is seen and nothing is computed: the head's output is 0."""

    def visible(self, rows: Tensor, columns: Tensor, vision: Tensor | None) -> Tensor:
        """Bool [Q, K], all False."""
        return torch.zeros(len(rows), len(columns), dtype=torch.bool, device=rows.device)


@dataclass(frozen=True)
class OwnPage:
    """A vision token sees no vision token of other pages, but for the ``sink`` first tokens; text sees everything.

    A page is a run of vision tokens that no text interrupts.
    """

    sink: int

    def visible(self, rows: Tensor, columns: Tensor, vision: Tensor | None) -> Tensor:
        """Bool [Q, K]; ``vision`` is the bool [tokens] mask of the sample's vision tokens."""
        if vision is None:
            raise ValueError(
                "the document patch does not know which tokens are vision: call the model with input_ids, "
                "and apply the patch before the prefill whose cache is used"
            )
        page = pages(vision)
        reader, read = page[rows][:, None], page[columns][None, :]
        return (reader == 0) | (read == 0) | (reader == read) | (columns < self.sink)[None, :]


def pages(vision: Tensor) -> Tensor:
    """By token the number of its page, from 1; 0 for text. ``vision``: bool [tokens]."""
    first = vision.clone()
    first[1:] &= ~vision[:-1]
    return first.cumsum(0) * vision


Rule = Local | NoVision | Nothing | OwnPage


@dataclass(frozen=True)
class Group:
    """Query heads of one layer, ascending, that are under the same rules; no rule is full causal attention."""

    heads: tuple[int, ...]
    rules: tuple[Rule, ...]

    def visible(self, rows: Tensor, columns: Tensor, vision: Tensor | None) -> Tensor:
        """Bool [Q, K]: causal, and seen under every rule."""
        seen = columns[None, :] <= rows[:, None]
        for rule in self.rules:
            seen = seen & rule.visible(rows, columns, vision)
        return seen


def group_heads(heads: int, laid: Iterable[Mapping[int, Rule]]) -> tuple[Group, ...]:
    """Group a layer's heads by the rules that mappings lay on some of them.

    A head under several rules sees what all of them let it see; ``Nothing`` makes the others needless.
    """
    rules: list[tuple[Rule, ...]] = [() for _ in range(heads)]
    for mapping in laid:
        for head, rule in mapping.items():
            if rule not in rules[head]:
                rules[head] = (*rules[head], rule)
    members: dict[tuple[Rule, ...], list[int]] = {}
    for head, own in enumerate(rules):
        members.setdefault((Nothing(),) if Nothing() in own else own, []).append(head)
    return tuple(Group(tuple(group), own) for own, group in members.items())
