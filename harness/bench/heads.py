"""What is compared with dense attention. Without a head profile heads are ``clustered``, in middle to late layers and
several under one KV head, as those that real profiles lead with; or ``scattered``, the worst case for the KV cache, in
which hardly two share a layer or a KV head."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.settings import SPREADS, Settings
from coreheads.bench.target import Target
from coreheads.errors import UserError, nearest
from coreheads.heads.selections import head_count
from coreheads.heads.types import Heads

FIRST, LAST = 0.4, 0.9
"""The layers, as shares of the depth, that hold the heads of a clustered selection."""


def spread(kind: str, fraction: float, layers: int, heads: int, kv_heads: int) -> Heads:
    """So many heads of a model of ``layers`` x ``heads`` query heads, the same ones every time."""
    if kind not in SPREADS:
        raise UserError(
            f"--selection is {kind!r}{nearest(kind, SPREADS)}, expected one of {', '.join(SPREADS)}, or --heads FILE"
        )
    count, repeats = head_count(fraction, layers * heads), heads // kv_heads
    if kind == "clustered":
        # whole KV heads, dealt out to the middle and late layers in turn, and to the others when those are full
        first = int(FIRST * layers)
        inside = range(first, max(first + 1, int(LAST * layers)))
        kv_pairs = [(layer, (layer + turn) % kv_heads) for turn in range(kv_heads) for layer in inside]
        kv_pairs += [(layer, kv) for layer in range(layers) if layer not in inside for kv in range(kv_heads)]
        return frozenset([(layer, kv * repeats + i) for layer, kv in kv_pairs for i in range(repeats)][:count])
    # so ordered that any first few layers lie spread over the depth
    apart = sorted(range(layers), key=lambda layer: f"{layer:016b}"[::-1])
    turns = product(range(repeats), range(kv_heads), apart)
    return frozenset([(layer, ((kv + layer) % kv_heads) * repeats + i) for i, kv, layer in turns][:count])


@dataclass(frozen=True)
class Entry:
    """One selection with one pattern."""

    selection: str
    fraction: float
    patch: Hybrid

    @property
    def name(self) -> str:
        return f"{self.selection} {100 * self.fraction:g} %, sink {self.patch.sink}, window {self.patch.window}"


def entries(target: Target, settings: Settings) -> list[Entry]:
    """What is compared with dense attention: every selection, fraction and (sink, window).

    With a profile a selection is "top" of it; without one it is a spread. UserError for heads that the model lacks.
    """
    layers, heads, kv_heads = target.shape
    profile = settings.heads
    if profile is not None:
        shape = {"layers": layers, "heads": heads, "kv_heads": kv_heads}
        profile.check_model({"id": target.name, "model_type": target.model.config.model_type, **shape})
    compared = []
    for selection, fraction in product(settings.selections, settings.fractions):
        if selection == "top" and profile is not None:
            chosen = profile.top(fraction)
        else:
            chosen = spread(selection, fraction, layers, heads, kv_heads)
        for sink, window in settings.patterns:
            patch = Hybrid(chosen, sink, window, granularity=settings.granularity)
            patch.check(target.model)
            compared.append(Entry(selection, fraction, patch))
    return compared


def with_dense(target: Target, settings: Settings) -> dict[str, Hybrid | None]:
    """The patches of all entries by name, after dense attention, which has none."""
    return {"dense": None, **{entry.name: entry.patch for entry in entries(target, settings)}}
