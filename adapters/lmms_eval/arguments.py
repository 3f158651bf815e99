"""What the arguments of the lmms-eval model mean: its patch, its device, its batch size, its way of decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmms_eval.utils import handle_arg_string
from torch import nn

from coreheads.adapters.checkpoints.device_map import AUTO
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.budget import Budgeted, Cannot
from coreheads.adapters.patches.registry import make_patch, patch_class, put_on
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.config.budgets import Asked, budget_of
from coreheads.errors import UserError
from coreheads.heads.selections import select
from coreheads.heads.types import Heads

_SAMPLING = ("do_sample", "num_beams", "temperature", "top_p", "top_k")


class Solved(Budgeted):
    """A budget, which every prompt has to reach."""

    def for_prompt(self, model: nn.Module, prompt: Prompt) -> Patch:
        """As ``Budgeted``, but UserError where no patch costs as much."""
        try:
            return super().for_prompt(model, prompt)
        except Cannot as error:
            raise UserError(f"coreheads: budget={self.share:g}: {error}") from None


def named_patch(
    adapter: Adapter,
    kind: str,
    heads: str | None,
    selection: str,
    fraction: float | None,
    seed: int,
    /,
    *,
    budget: float | None = None,
    on: str | None = None,
    **params: Any,
) -> Patch:
    """The patch that model arguments describe; UserError where they do not fit together or the model.

    budget is the share of the dense model's cost that is solved for in every prompt; on the patch below, as
    ``cdpruner:keep=0.5``.
    """
    from coreheads.heads.profile import HeadProfile

    if kind == "none":
        own = {"heads": heads, "fraction": fraction, "budget": budget, "on": on}
        given = [*(name for name, value in own.items() if value is not None), *params]
        if given:
            raise UserError(
                f"coreheads: patch is none but {', '.join(given)} is given, expected patch=hybrid or patch=ablate"
            )
        return make_patch("none", frozenset())
    takes_heads = patch_class(kind).takes_heads
    if not takes_heads and (heads is not None or fraction is not None):
        raise UserError(f"coreheads: patch={kind} takes no heads, but heads or a fraction is given")
    below = None if on is None else _on(on)
    if budget is not None:
        _check_budget(kind, budget, [selection] if takes_heads else [], fraction, below, params)
    if not takes_heads:
        return put_on(make_patch(kind, **params), below) if budget is None else Solved(kind, budget, params)
    profile = None
    if heads is not None:
        profile = HeadProfile.load(heads)
        profile.check_model(adapter.describe())
    elif selection not in ("none", "all", "random"):
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs heads=heads.json")
    if selection not in ("none", "all") and fraction is None and budget is None:
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs a fraction, as fraction=0.05")
    scores = None if profile is None else profile.mean

    def chosen(fraction: float | None) -> Heads:
        return select(selection, scores, (adapter.layers, adapter.heads), fraction, seed)

    if budget is not None:
        return Solved(kind, budget, params, chosen)
    return put_on(make_patch(kind, chosen(fraction), **params), below)


def _on(text: str) -> tuple[str, dict[str, Any]]:
    """The patch below and its parameters, of ``name:parameter=value:parameter=value``."""
    parts = str(text).split(":")
    count = sum("=" not in part for part in parts)  # the name's own, of module:Class
    if not count or any("=" in part for part in parts[:count]):
        raise UserError(f"coreheads: on is {text!r}, expected a patch and its parameters, as on=cdpruner:keep=0.5")
    pairs = (part.split("=", 1) for part in parts[count:])
    return ":".join(parts[:count]), {name: handle_arg_string(value) for name, value in pairs}


def _check_budget(
    kind: str, budget: Any, selections: list[str], fraction: float | None, below: object, params: dict[str, Any]
) -> None:
    number = isinstance(budget, int | float) and not isinstance(budget, bool)
    if not (number and 0 < budget <= 1):
        raise UserError(f"coreheads: budget is {budget!r}, expected above 0 and at most 1 of the dense model's cost")
    if below is not None:
        raise UserError("coreheads: budget and on are both given: give the fraction of the one and keep of the other")
    fractions = [] if fraction is None else [fraction]
    try:
        budget_of(Asked(kind, params, selections, fractions, [budget], None, False), patch_class(kind))
    except ValueError as error:
        raise UserError(f"coreheads: {error}") from None


def own_devices(device: str, device_map: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    """``device`` and ``device_map``, as they are for one process among several on a machine.

    Args:
        device: As it is given to all: ``cuda`` is the GPU of this process's number.
        device_map: As it is given to all: N are the N GPUs from number x N on.
        variables: The environment, in which a launcher has set the process's number (``LOCAL_RANK``).

    Raises:
        UserError: All processes would take the same GPUs.
    """
    rank = variables.get("LOCAL_RANK")
    if rank is None or variables.get("LOCAL_WORLD_SIZE") == "1":
        return {"device": device, "device_map": device_map}
    if device_map is None and device != AUTO:
        return {"device": f"cuda:{rank}" if device == "cuda" else device, "device_map": None}
    if isinstance(device_map, bool) or not isinstance(device_map, int) or device_map < 1:
        given = f"device={device}" if device_map is None else f"device_map={device_map!r}"
        raise UserError(f"coreheads: {given} in several processes, expected device_map=N, the GPUs of each process")
    first = int(rank) * device_map
    return {"device": device, "device_map": list(range(first, first + device_map))}


def meeting_place(device: str, device_map: Any) -> str:
    """Where lmms-eval puts what its processes tell each other: of a split model the GPU of each process's number."""
    return device if device_map is None and device != AUTO else "cuda"


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
