"""What the arguments of the lmms-eval model mean: its patch, its device, its batch size, its way of decoding."""

from __future__ import annotations

from typing import Any

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.base import Patch
from coreheads.errors import UserError

_SAMPLING = ("do_sample", "num_beams", "temperature", "top_p", "top_k")


def named_patch(
    adapter: Adapter,
    kind: str,
    heads: str | None,
    selection: str,
    fraction: float | None,
    seed: int,
    params: dict[str, Any],
) -> Patch:
    """The patch that model arguments describe; UserError where they do not fit together or the model."""
    from coreheads.adapters.patches.registry import make_patch, patch_class
    from coreheads.heads.profile import HeadProfile
    from coreheads.heads.selections import select

    if kind == "none":
        if heads is not None or fraction is not None or params:
            given = ", ".join(filter(None, ["heads" if heads else "", "fraction" if fraction else "", *params]))
            raise UserError(f"coreheads: patch is none but {given} is given, expected patch=hybrid or patch=ablate")
        return make_patch("none", frozenset())
    if not patch_class(kind).takes_heads:
        if heads is not None or fraction is not None:
            raise UserError(f"coreheads: patch={kind} takes no heads, but heads or a fraction is given")
        return make_patch(kind, **params)
    profile = None
    if heads is not None:
        profile = HeadProfile.load(heads)
        profile.check_model(adapter.describe())
    elif selection not in ("none", "all", "random"):
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs heads=heads.json")
    if selection not in ("none", "all") and fraction is None:
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs a fraction, as fraction=0.05")
    scores = None if profile is None else profile.mean
    chosen = select(selection, scores, (adapter.layers, adapter.heads), fraction, seed)
    return make_patch(kind, chosen, **params)


def own_device(device: str, local_rank: str | None) -> str:
    """The GPU of a process among several on one machine, whose number its launcher gives; any other device as it is."""
    return f"cuda:{local_rank}" if device == "cuda" and local_rank is not None else device


def only_greedy(settings: dict[str, Any]) -> None:
    """UserError where a task's generation_kwargs ask for anything but greedy decoding."""
    asked = {name: settings[name] for name in _SAMPLING if settings.get(name) not in (None, 0, 0.0, 1, 1.0, False)}
    if asked:
        raise UserError(f"coreheads: generation_kwargs ask for {asked}, expected greedy decoding")


def whole(value: int | str | None) -> int:
    """A batch size; None is 1. UserError for what is no whole number of at least 1."""
    digits = "1" if value is None else str(value)
    if not digits.isdecimal() or int(digits) < 1:
        raise UserError(f"coreheads: batch_size is {value!r}, expected a whole number of at least 1")
    return int(digits)
