"""Where a checkpoint's files are, without torch."""

from __future__ import annotations

from pathlib import Path

from coreheads.adapters.checkpoints import embedded
from coreheads.errors import UserError


def locate(name: str) -> str:
    """Where the checkpoint is: a folder's path, or a hub id. UserError for a folder that is missing or holds none."""
    if name in embedded.EMBEDDED:
        path = embedded.checkpoint(name)
    else:
        path = Path(name).expanduser()
        looks_local = path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1
        if not looks_local:
            return name
    if not path.is_dir():
        raise UserError(
            f"{name}: no such folder, expected a checkpoint's folder or a hub id such as Qwen/Qwen3-VL-8B-Instruct"
        )
    if not (path / "config.json").is_file():
        raise UserError(f"{path}: is not a checkpoint, it has no config.json")
    return str(path)
