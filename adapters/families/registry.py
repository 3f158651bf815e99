"""The model families. To add one: write its module with a subclass of ``Adapter``, and name it in ``FAMILIES``."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from coreheads import named
from coreheads.adapters.value_checks import one_of
from coreheads.errors import UserError

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter

GROUP = "coreheads.families"
"""The entry points by which other packages name theirs: ``model_type = "package.module:Class"``, an ``Adapter``."""

FAMILIES = {
    "qwen3_vl": "coreheads.adapters.families.qwen3_vl:Qwen3VL",
    "qwen3_vl_moe": "coreheads.adapters.families.qwen3_vl:Qwen3VL",
    "llava_onevision": "coreheads.adapters.families.llava_onevision:LlavaOnevision",
    "internvl": "coreheads.adapters.families.internvl:InternVL",
}
"""model_type -> "module:class", imported when first needed."""


def families() -> dict[str, str]:
    """model_type -> "module:class" of ours and of installed packages, not loaded; our own names stay ours."""
    return {**FAMILIES, **{name: point.value for name, point in _foreign().items()}}


def family(model_type: str, where: str) -> type[Adapter]:
    """The adapter class for a model type; UserError names the type and the supported ones, or another package's class
    that cannot be used."""
    one_of(f"{where}: model_type is", model_type, sorted(families()))
    if model_type not in FAMILIES:
        return _load(_foreign()[model_type])
    module, name = FAMILIES[model_type].split(":")
    adapter: type[Adapter] = getattr(import_module(module), name)
    return adapter


def setting_names() -> frozenset[str]:
    """Names of the settings that any family knows."""
    names: set[str] = set()
    for model_type in families():
        with suppress(UserError):  # another package's, which is told where it is asked for
            names.update(family(model_type, model_type).settings)
    return frozenset(names)


def _foreign() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in FAMILIES}


def _load(point: EntryPoint) -> type[Adapter]:
    from coreheads.adapters.families.base import Adapter

    source = f"model family {point.name!r} of entry point {point.value}"
    found = named.load_point(point, source)
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise UserError(f"{source}: is no family, expected a class derived from Adapter")
    return found
