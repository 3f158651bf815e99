"""One module a model family, the patches, the embedded model, and the lmms-eval model class."""

from __future__ import annotations

from typing import Any


def manifests() -> Any:
    """The entry point by which lmms-eval finds ``--model coreheads``: its ``ModelManifest`` of our model class."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="coreheads", chat_class_path="coreheads.adapters.lmms_eval.model.CoreHeads")
