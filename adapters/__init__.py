"""One module a model family, the patches, the embedded model, and the lmms-eval model class."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_LAZY = {
    "load_adapter": "coreheads.adapters.checkpoints.registry",
    "manifests": "coreheads.adapters.lmms_eval",
}

if TYPE_CHECKING:
    from coreheads.adapters.checkpoints.registry import load_adapter
    from coreheads.adapters.lmms_eval import manifests

__all__ = ["load_adapter", "manifests"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'coreheads.adapters' has no attribute {name!r}")
