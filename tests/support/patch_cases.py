"""Every patch with what it means: a new one adds a line here, and is held against all that the tests ask of patches."""

from __future__ import annotations

from dataclasses import dataclass, field

from family_cases import FAMILIES
from patches_oracle import Allowed, document_rule, hybrid_rule, nothing_hidden, vision_rule, zero_rule

from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.document import Document
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.streaming import Streaming

LAYERS, HEADS = 2, 8
"""Of the small models of all families."""
CHOSEN = {(0, 1), (1, 2), (1, 3), (1, 6)}
OTHERS = {(layer, head) for layer in range(LAYERS) for head in range(HEADS)} - CHOSEN


@dataclass(frozen=True)
class Case:
    """A patch, what each head may see under it, the heads that read all they see alike, and the families it is for."""

    patch: Patch
    rule: Allowed
    uniform: set[tuple[int, int]] = field(default_factory=set)
    families: tuple[str, ...] = FAMILIES


PATCHES = {
    "hybrid": Case(Hybrid(CHOSEN, 3, 17), hybrid_rule(CHOSEN, 3, 17)),
    "hybrid-narrow": Case(Hybrid(CHOSEN, 0, 1), hybrid_rule(CHOSEN, 0, 1)),
    "local": Case(Hybrid(set(), 3, 7), hybrid_rule(set(), 3, 7)),
    "streaming": Case(Streaming(5, 2), hybrid_rule(set(), 2, 5)),
    "document": Case(Document(2), document_rule(2), families=("qwen3_vl", "internvl")),
    "ceiling": Case(Hybrid(CHOSEN, local=False), zero_rule(OTHERS)),
    "zero": Case(Ablate(CHOSEN, "zero"), zero_rule(CHOSEN)),
    "mean": Case(Ablate(CHOSEN, "mean"), nothing_hidden, uniform=CHOSEN),
    "vision": Case(Ablate(CHOSEN, "vision"), vision_rule(CHOSEN, "text")),
    "vision-all": Case(Ablate(CHOSEN, "vision", "all"), vision_rule(CHOSEN, "all")),
}
