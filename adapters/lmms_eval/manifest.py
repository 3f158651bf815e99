"""The entry point by which lmms-eval finds ``--model coreheads``."""

from __future__ import annotations

from typing import Any


def manifests() -> Any:
    """lmms-eval's ``ModelManifest`` of the model class in ``coreheads.adapters.lmms_eval.model``."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="coreheads", chat_class_path="coreheads.adapters.lmms_eval.model.CoreHeads")
