"""A fault in one cell is that cell's: it is noted with its reason, and the others go on."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coreheads.errors import OutOfMemory, UserError, one_line
from coreheads.store.folder import RunFolder

_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
"""Faults of the machine that every other cell would meet, too."""


@contextmanager
def contained(folder: RunFolder, name: str, failed: Callable[[str], object]) -> Iterator[None]:
    """Have ``failed(reason)`` told of a fault inside the block, which ends there; its whole text goes to
    errors/<name>.txt.

    Wrong input (UserError), Ctrl-C, and a disk that cannot be written end the run.
    """
    from coreheads.adapters.generation.memory import is_out_of_memory, make_room
    from coreheads.run.evaluator import NothingScored

    try:
        yield
        return
    except (OutOfMemory, NothingScored) as error:
        reason, text = str(error), ""
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and _of_the_machine(error, folder.path):
            raise
        reason, text = f"{type(error).__name__}: {one_line(error)}", traceback.format_exc()
        if is_out_of_memory(error):
            reason = f"out of memory ({reason})"
    make_room()
    if text:
        folder.note_error(name, text)
    failed(reason)


def _of_the_machine(error: OSError, folder: Path) -> bool:
    own = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(folder)
    return own or error.errno in _SYSTEM
