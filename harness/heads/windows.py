"""Hybrid attention as plain JSON, for programs that are not ours: what every head of a model may see."""

from __future__ import annotations

from typing import TypedDict

from coreheads.hashing.contents import json_hash
from coreheads.heads.profile import HeadProfile
from coreheads.heads.schema import ModelIdentity
from coreheads.heads.types import Granularity, Heads, by_layer

SCHEMA_VERSION = 1


class LayerWindows(TypedDict):
    """One layer of the language model."""

    full_heads: list[int]
    """Query heads that see every token up to their own, ascending from 0; each other one sees sink and window."""
    full_kv_heads: list[int]
    """KV heads that serve one of these: they must keep every token, each other one the sink and the window."""


class Ranking(TypedDict):
    """How the full heads were chosen."""

    score: str
    """Name of the head score."""
    selection: str
    """The rule, as in a configuration: top is those that score highest."""
    fraction: float | None
    """Of all heads; null where the rule has none."""
    seed: int | None
    """Of a rule that draws; else null."""
    fingerprint: str
    """SHA-256 (hex) of what heads.json holds; also in a run's manifest, as ``heads`` of a model."""


class WindowsRecord(TypedDict):
    """The whole file.

    The token at position i sees the tokens j <= i, of a head that is not full only those with ``j < sink`` or
    ``i - j < window``. Positions count all tokens of a sample, vision tokens too, from 0 at its first one (padding has
    none), and are not the model's rotary positions. It is so in prefill and in decoding.
    """

    schema_version: int
    sink: int
    """First tokens that every head sees."""
    window: int
    """Last tokens that every head sees, the reading one's own among them."""
    granularity: Granularity
    """``kv``: all query heads of a full KV head are full, and stand in ``full_heads``."""
    model: ModelIdentity
    """Whose heads these are, with the fingerprint of the checkpoint that they were found on where it is known."""
    ranking: Ranking
    layers: list[LayerWindows]
    """Every layer, the first one first."""


def windows(
    profile: HeadProfile,
    heads: Heads,
    sink: int,
    window: int,
    granularity: Granularity,
    selection: str,
    fraction: float | None,
    seed: int | None,
) -> WindowsRecord:
    """The record of these full ``heads``, which a rule (``selection``, ``fraction``, ``seed``) chose of a profile."""
    model = profile.model
    repeats, chosen = model["heads"] // model["kv_heads"], by_layer(heads)
    layers: list[LayerWindows] = []
    for layer in range(model["layers"]):
        full = chosen.get(layer, [])
        kv_heads = sorted({head // repeats for head in full})
        if granularity == "kv":
            full = [kv * repeats + number for kv in kv_heads for number in range(repeats)]
        layers.append({"full_heads": full, "full_kv_heads": kv_heads})
    return {
        "schema_version": SCHEMA_VERSION,
        "sink": sink,
        "window": window,
        "granularity": granularity,
        "model": model.copy(),
        "ranking": {
            "score": profile.score,
            "selection": selection,
            "fraction": fraction,
            "seed": seed,
            "fingerprint": json_hash(profile.to_dict()),
        },
        "layers": layers,
    }
