"""coreheads: find, prove and use the heads of a multimodal LLM that retrieve what a question asks about.

Attributes are loaded when first used, so that ``import coreheads`` and ``coreheads --help`` stay instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Ablate": "coreheads.adapters.patches.ablate",
    "HeadProfile": "coreheads.heads.profile",
    "Hybrid": "coreheads.adapters.patches.hybrid",
    "Region": "coreheads.regions",
    "UserError": "coreheads.errors",
    "load_adapter": "coreheads.adapters.checkpoints.adapter",
    "retrieval_attention_mass": "coreheads.retrieval.ram",
}

if TYPE_CHECKING:
    from coreheads.adapters.checkpoints.adapter import load_adapter as load_adapter
    from coreheads.adapters.patches.ablate import Ablate as Ablate
    from coreheads.adapters.patches.hybrid import Hybrid as Hybrid
    from coreheads.errors import UserError as UserError
    from coreheads.heads.profile import HeadProfile as HeadProfile
    from coreheads.regions import Region as Region
    from coreheads.retrieval.ram import retrieval_attention_mass as retrieval_attention_mass

__all__ = sorted([*_LAZY, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'coreheads' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
