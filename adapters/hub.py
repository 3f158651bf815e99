"""What the hub's cache on this machine holds of a checkpoint, and whether the hub itself can be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Weights:
    """The weight files of a checkpoint's folder: their size together, and the names of those that are not there."""

    bytes: int
    missing: tuple[str, ...]


def cached(name: str, revision: str | None = None) -> Path | None:
    """The folder of a hub id's files in the cache on this machine, None where there is no configuration in it."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # not the form of a hub id
        return None
    return Path(found).parent if isinstance(found, str) else None


def unreachable(name: str, revision: str | None = None) -> str:
    """Why the hub cannot be asked for this checkpoint, in one line; "" when it has it.

    Asked once and briefly: transformers' own look-ups repeat themselves for about a minute.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, revision=revision, timeout=TIMEOUT_S)
    except Exception as error:  # whatever the hub client raises: no network, no such checkpoint, no permission, offline
        text = str(error).strip().splitlines()
        return text[0] if text else type(error).__name__
    return ""


def weights(folder: Path) -> Weights:
    """What is there of a checkpoint's safetensors files, by its index where it has one."""
    index = folder / "model.safetensors.index.json"
    names = {path.name for path in folder.glob("*.safetensors")} or {"model.safetensors"}
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            return Weights(0, (index.name,))
    there = [folder / name for name in names if (folder / name).is_file()]
    missing = tuple(sorted(name for name in names if not (folder / name).is_file()))
    return Weights(sum(path.stat().st_size for path in there), missing)
