"""Out of memory: telling it from other errors, and making room after it."""

from __future__ import annotations

import torch

from coreheads.errors import OutOfMemory

_SAID = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "status_alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: a GPU's, the CPU's or Python's; kernels have ways of their own."""
    if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _SAID)


def make_room() -> None:
    """Give back what nobody holds any more; to be called outside of ``except``, whose traceback holds tensors."""
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)
