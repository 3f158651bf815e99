"""One module a model family, the patches, the embedded model, and the lmms-eval model class."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_LAZY = {"load_adapter": "coreheads.adapters.registry", "manifests": "coreheads.adapters.manifest"}

if TYPE_CHECKING:
    from coreheads.adapters.manifest import manifests
    from coreheads.adapters.registry import load_adapter

__all__ = ["load_adapter", "manifests"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'coreheads.adapters' has no attribute {name!r}")
