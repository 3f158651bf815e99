"""Whether what `coreheads run` needs is here and works; each check tries the thing itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from coreheads.environment import installed, processor_name, versions


@dataclass(frozen=True)
class Check:
    """One finding. needed: `coreheads run` on the embedded model cannot do without."""

    name: str
    ok: bool
    text: str
    needed: bool = True


def examine() -> list[Check]:
    """All checks, in the order in which things would fail."""
    checks = [_try("torch", _torch), _try("transformers with torchvision", _processors), _try("lmms-eval", _lmms)]
    checks += [_try("video decoding", _video), _try("embedded model", _tiny), _try("mini data", _data)]
    checks += [_try("GPU", _gpu, needed=False), _try("FlashAttention", _flash, needed=False)]
    return checks


def _try(name: str, look: Callable[[], str], needed: bool = True) -> Check:
    try:
        return Check(name, True, look(), needed)
    except Exception as error:
        first = str(error).strip().splitlines()
        return Check(name, False, first[0] if first else "it failed without a message", needed)


def _torch() -> str:
    import torch

    return f"{versions()['torch']}, {torch.get_num_threads()} threads on {processor_name()}"


def _processors() -> str:
    from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    return f"{versions()['transformers']}, {Qwen3VLForConditionalGeneration.__name__} and {Qwen3VLProcessor.__name__}"


def _lmms() -> str:
    # found, not imported: that takes as long as all else together
    if find_spec("lmms_eval") is None or find_spec("lmms_eval.evaluator") is None:
        raise ModuleNotFoundError("not installed, expected pip install coreheads with what it needs")
    return versions()["lmms-eval"] or "of unknown version"


def _video() -> str:
    import av

    return f"PyAV {av.__version__}"


def _tiny() -> str:
    from coreheads.adapters.checkpoints.adapter import load_adapter
    from coreheads.adapters.checkpoints.quiet import quiet

    with quiet():
        adapter = load_adapter("tiny")
    return f"{adapter.layers} x {adapter.heads} heads in the language model"


def _data() -> str:
    from coreheads.tasks.mini.data import cache_folder

    folder = cache_folder()
    base = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(base).free / 2**30
    if free < 0.5:
        raise OSError(f"{base}: {free:.1f} GiB free, expected 0.5")
    return f"{folder}, {'there' if folder.exists() else 'made at first use'}, {free:.0f} GiB free"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("none that torch can use; everything runs on the CPU")
    return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))


def _flash() -> str:
    from coreheads.adapters.kernels.flash import PACKAGES, kernels

    usable = [name for name in PACKAGES if name in kernels()]
    if not usable:
        raise ModuleNotFoundError("not installed; torch has its own kernels, which are used")
    for name in usable:
        import_module(PACKAGES[name])
    # one that was built under another name has no version here
    return ", ".join(f"{name} {installed(name) or ''}".strip() for name in usable)
