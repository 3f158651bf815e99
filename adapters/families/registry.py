"""The model families. To add one: write its module with a subclass of ``Adapter``, and name it in ``FAMILIES``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from coreheads.adapters.value_checks import one_of

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter

FAMILIES = {
    "qwen3_vl": "coreheads.adapters.families.qwen3_vl:Qwen3VL",
    "qwen3_vl_moe": "coreheads.adapters.families.qwen3_vl:Qwen3VL",
    "llava_onevision": "coreheads.adapters.families.llava_onevision:LlavaOnevision",
    "internvl": "coreheads.adapters.families.internvl:InternVL",
}
"""model_type -> "module:class", imported when first needed."""


def family(model_type: str, where: str) -> type[Adapter]:
    """The adapter class for a model type; UserError names the type and the supported ones."""
    one_of(f"{where}: model_type is", model_type, sorted(FAMILIES))
    module, name = FAMILIES[model_type].split(":")
    adapter: type[Adapter] = getattr(import_module(module), name)
    return adapter


def setting_names() -> frozenset[str]:
    """Names of the settings that any family knows."""
    return frozenset(name for model_type in FAMILIES for name in family(model_type, model_type).settings)
