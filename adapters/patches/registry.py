"""Patches by name, as configurations and the command line ask for them. A new one is a file and its name in PATCHES."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

from torch import nn

from coreheads import named
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.adakv import AdaKV
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cdpruner import CDPruner
from coreheads.adapters.patches.dart import Dart
from coreheads.adapters.patches.document import Document
from coreheads.adapters.patches.evs import EVS
from coreheads.adapters.patches.fastv import FastV
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.on_top import OnTop
from coreheads.adapters.patches.pyramiddrop import PyramidDrop
from coreheads.adapters.patches.random_tokens import RandomTokens
from coreheads.adapters.patches.resolution import Resolution
from coreheads.adapters.patches.snapkv import SnapKV
from coreheads.adapters.patches.streaming import Streaming
from coreheads.adapters.patches.stride import Stride
from coreheads.adapters.patches.vertical_slash import VerticalSlash
from coreheads.adapters.patches.vidcom2 import VidCom2
from coreheads.adapters.patches.visionzip import VisionZip
from coreheads.adapters.patches.xattention import XAttention
from coreheads.errors import UserError, expected_one_of
from coreheads.heads.types import Head

GROUP = "coreheads.patches"
"""The entry points by which other packages name their patches: ``name = "package.module:Class"``."""


@dataclass(frozen=True)
class NoPatch(Patch):
    """The model as it is: the dense baseline, with the model's own kernel and no tensor changed."""

    name: ClassVar[str] = "none"

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """A ``with`` block that does nothing."""
        return nullcontext(model)


PATCHES: dict[str, type[Patch]] = {
    patch.name: patch
    for patch in (
        *(NoPatch, Ablate, Hybrid, Streaming, Document, VerticalSlash, XAttention),
        *(SnapKV, AdaKV),
        *(CDPruner, Dart, EVS, FastV, PyramidDrop, RandomTokens, Resolution, Stride, VidCom2, VisionZip),
    )
}


def patch_kinds() -> tuple[str, ...]:
    """Every name that ``make_patch`` takes: ours, then those of installed packages."""
    return (*PATCHES, *sorted(_foreign()))


def patch_class(kind: str) -> type[Patch]:
    """The class of the patch called ``kind``, or at ``module:Class``; UserError where there is none, or another
    package's cannot be used."""
    if kind in PATCHES:
        return PATCHES[kind]
    if named.is_named(kind):
        own = named.load(kind, "patch")
        if not (isinstance(own, type) and issubclass(own, Patch) and is_dataclass(own)):
            raise UserError(f"patch {kind!r}: is no patch, expected a dataclass derived from Patch")
        return own
    foreign = _foreign()
    if kind not in foreign:
        raise UserError(f"patch {kind!r} is not known, {expected_one_of(kind, patch_kinds())}")
    point = foreign[kind]
    source = f"patch {kind!r} of entry point {point.value}"
    found = named.load_point(point, source)
    if not (isinstance(found, type) and issubclass(found, Patch) and is_dataclass(found) and found.name == kind):
        raise UserError(f"{source}: is no patch, expected a dataclass derived from Patch whose name is {kind!r}")
    return found


def make_patch(kind: str, heads: Iterable[Head] = (), /, **params: Any) -> Patch:
    """The patch called ``kind`` with these fields of its class, and the heads where it takes them.

    Raises:
        UserError: If the kind or a parameter is not known or is missing, or a value cannot be used.
    """
    patch = patch_class(kind)
    given = ("heads",) if patch.takes_heads else ()
    own = {field.name: field for field in fields(patch) if field.name not in given}  # type: ignore[arg-type]
    for name in params:
        if name not in own:
            known = expected_one_of(name, own) if own else "expected none"
            raise UserError(f"patch {kind}: parameter {name!r} is not known, {known}")
    for name, field in own.items():
        if name not in params and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"patch {kind}: parameter {name!r} is missing")
    return patch(heads, **params) if patch.takes_heads else patch(**params)  # type: ignore[call-arg]


def put_on(patch: Patch, below: tuple[str, Mapping[str, Any]] | None) -> Patch:
    """``patch`` on top of the patch of that name and these fields, or as it is; UserError where they cannot be both."""
    return patch if below is None else OnTop(patch, make_patch(below[0], **below[1]))


def _foreign() -> dict[str, EntryPoint]:
    """Patches of installed packages by name, not loaded; our own names stay ours."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in PATCHES}
