"""Patches by name, as configurations and the command line ask for them. A new patch is a file and a line here."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from torch import nn

from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.base import HeadPatch, Patch
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.errors import UserError, expected_one_of
from coreheads.heads.types import Head


@dataclass(frozen=True)
class NoPatch(Patch):
    """The model as it is: the dense baseline, with the model's own kernel and no tensor changed."""

    name: ClassVar[str] = "none"

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """A ``with`` block that does nothing."""
        return nullcontext(model)


PATCHES: dict[str, type[HeadPatch]] = {"ablate": Ablate, "hybrid": Hybrid}


def patch_kinds() -> tuple[str, ...]:
    """Every name that ``make_patch`` takes."""
    return ("none", *sorted(PATCHES))


def make_patch(kind: str, heads: Iterable[Head] = (), **params: Any) -> Patch:
    """The patch called ``kind`` with these heads and fields of its class, which ``none`` has not.

    Raises:
        UserError: If the kind or a parameter is not known, or a value cannot be used.
    """
    if kind == "none":
        return NoPatch()
    if kind not in PATCHES:
        raise UserError(f"patch {kind!r} is not known, {expected_one_of(kind, patch_kinds())}")
    known = [field.name for field in fields(PATCHES[kind]) if field.name != "heads"]
    for name in params:
        if name not in known:
            raise UserError(f"patch {kind}: parameter {name!r} is not known, {expected_one_of(name, known)}")
    return PATCHES[kind](heads, **params)  # type: ignore[arg-type]  # any iterable is taken
