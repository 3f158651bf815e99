"""From a checkpoint to an adapter: the family is the one that ``config.model_type`` names.

To add a family: write its module with a subclass of ``Adapter``, and name it in ``FAMILIES``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.adapters.checks import one_of
from coreheads.errors import UserError

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


def load_adapter(
    id_or_path: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    attn_implementation: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **settings: Any,
) -> Adapter:
    """Load a model and its processor.

    Args:
        id_or_path: A hub id, a local folder, or "tiny" for the embedded model.
        device: "cpu", "cuda", "cuda:1", or "auto" (CUDA when there is one).
        dtype: "float32", "bfloat16", "float16", or "auto" (the checkpoint's own).
        attn_implementation: Of the language model; None is transformers' choice.
        revision: Branch, tag or commit of a hub id.
        trust_remote_code: Whether code of the checkpoint may run.
        settings: The family's own, see its adapter class.

    Returns:
        The adapter of the checkpoint's family, its model in evaluation mode on the device.

    Raises:
        UserError: In one line, for a path or id that holds no checkpoint, an unsupported model type, and a device,
            dtype, attention implementation or setting that cannot be had.
    """
    for reserved in ("model", "processor", "id"):
        if reserved in settings:
            raise UserError(f"setting {reserved}: is not one, expected the settings of the model's family")
    from coreheads.adapters.checkpoints import loading

    name = str(id_or_path)
    target = loading.device(device)
    number_type = loading.dtype(dtype)
    location = loading.locate(name)
    source = {
        "revision": revision,
        "trust_remote_code": trust_remote_code,
        "local_files_only": loading.only_local(name, location, revision),
    }
    config = loading.config(name, location, **source)
    adapter = family(config.model_type, name)
    model, processor = loading.model_and_processor(
        name, location, config, target, number_type, attn_implementation, **source
    )
    return adapter(model, processor, id=name, revision=loading.commit(location, revision), **settings)
