"""From a checkpoint to an adapter: the family is the one that ``config.model_type`` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.adapters.families.registry import family
from coreheads.errors import UserError

if TYPE_CHECKING:
    from coreheads.adapters.checkpoints.device_map import Asked
    from coreheads.adapters.families.base import Adapter


def load_adapter(
    id_or_path: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    attn_implementation: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    device_map: Asked = None,
    **settings: Any,
) -> Adapter:
    """Load a model and its processor.

    Args:
        id_or_path: A hub id, a local folder, or the name of an embedded model: "tiny", "smol", "smol-onevision".
        device: "cpu", "cuda", "cuda:1", "auto" (CUDA when there is one), or "auto-map": split by layers over the fewest
            GPUs that hold the model in two thirds of their free memory.
        dtype: "float32", "bfloat16", "float16", or "auto" (the checkpoint's own).
        attn_implementation: Of the language model; None is transformers' choice.
        revision: Branch, tag or commit of a hub id.
        trust_remote_code: Whether code of the checkpoint may run.
        device_map: In place of ``device``, over how many GPUs the model is split, or over which (a list of their
            numbers), or the GPU of each module as accelerate has it.
        settings: The family's own, see its adapter class.

    Returns:
        The adapter of the checkpoint's family, its model in evaluation mode on the device or devices.

    Raises:
        UserError: In one line, for a path or id that holds no checkpoint, an unsupported model type, and a device,
            dtype, attention implementation or setting that cannot be had.
    """
    for reserved in ("model", "processor", "id"):
        if reserved in settings:
            raise UserError(f"setting {reserved}: is not one, expected the settings of the model's family")
    from coreheads.adapters.checkpoints import device_map as devices
    from coreheads.adapters.checkpoints import loading
    from coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint
    from coreheads.adapters.checkpoints.location import locate

    name = str(id_or_path)
    where = devices.asked(device, device_map)
    number_type = loading.dtype(dtype)
    location = locate(name)
    source = _source(name, location, revision, trust_remote_code)
    # of a folder before it is read, so that what is written to it meanwhile is not taken for what was loaded
    fingerprint = checkpoint_fingerprint(name, revision) if Path(location).is_dir() else None
    config = loading.config(name, location, **source)
    adapter = family(config.model_type, name)
    on = devices.made(name, where, config, dtype)
    model, processor = loading.model_and_processor(
        name, location, config, on, number_type, attn_implementation, **source
    )
    made = adapter(model, processor, id=name, revision=loading.commit(location, revision), **settings)
    made.fingerprint = fingerprint or checkpoint_fingerprint(name, revision)
    return made


def gpus_for(id_or_path: str, dtype: str, revision: str | None = None, trust_remote_code: bool = False) -> int:
    """How many GPUs of this machine "auto-map" would split a checkpoint over. UserError as for ``load_adapter``."""
    from coreheads.adapters.checkpoints import device_map as devices
    from coreheads.adapters.checkpoints import loading
    from coreheads.adapters.checkpoints.location import locate

    where, location = devices.asked(devices.AUTO), locate(id_or_path)
    source = _source(id_or_path, location, revision, trust_remote_code)
    config = loading.config(id_or_path, location, **source)
    return len(set(devices.made(id_or_path, where, config, dtype).values()))


def _source(name: str, location: str, revision: str | None, trust_remote_code: bool) -> dict[str, Any]:
    """As ``from_pretrained`` takes it."""
    from coreheads.adapters.checkpoints import loading

    local = loading.only_local(name, location, revision)
    return {"revision": revision, "trust_remote_code": trust_remote_code, "local_files_only": local}
