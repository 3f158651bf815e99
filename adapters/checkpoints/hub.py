"""What the hub's cache on this machine holds of a checkpoint, and whether the hub itself can be asked."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coreheads.errors import one_line
from coreheads.files import matching

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Weights:
    """Bytes of a checkpoint's weight files, and the names of those that are not there, or cannot be read."""

    bytes: int
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def cached_models() -> list[tuple[str, Path]]:
    """(hub id, folder of its files) of all models in the cache on this machine, of the revision that an id stands for.

    A model counts by its configuration: huggingface_hub's own list leaves out one with any link that leads nowhere.
    """
    from huggingface_hub import constants

    models = []
    for ref in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/refs/main")):
        repository = ref.parents[1]
        with suppress(OSError, ValueError):
            folder = repository / "snapshots" / ref.read_text(encoding="utf-8").strip()
            if (folder / "config.json").is_file():
                models.append((repository.name.removeprefix("models--").replace("--", "/"), folder))
    return models


def cached(name: str, revision: str | None = None) -> Path | None:
    """The folder of a hub id's files in the cache on this machine, None where there is no configuration in it."""
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # not the form of a hub id
        return None
    return Path(path).parent if isinstance(path, str) else None


def unreachable(name: str, revision: str | None = None) -> str:
    """Why the hub cannot be asked for this checkpoint, in one line; "" when it has it.

    Asked once and briefly: transformers' own look-ups repeat themselves for about a minute.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, revision=revision, timeout=TIMEOUT_S)
    except Exception as error:  # whatever the hub client raises: no network, no such checkpoint, no permission, offline
        return one_line(error)
    return ""


def weights(folder: Path) -> Weights:
    """What is there of a checkpoint's safetensors files, by its index where it has one; only their headers are read."""
    from safetensors import safe_open

    index = folder / "model.safetensors.index.json"
    names = {path.name for path in matching(folder, "*.safetensors")} or {"model.safetensors"}
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError, TypeError):
            return Weights(0, broken=(index.name,))
    there = sorted(name for name in names if (folder / name).is_file())
    broken = []
    for name in there:
        try:
            with safe_open(folder / name, framework="pt"):
                pass
        except Exception:  # safetensors has an error of its own, which is none of OSError or ValueError
            broken.append(name)
    size = sum((folder / name).stat().st_size for name in there)
    return Weights(size, tuple(sorted(names - set(there))), tuple(broken))
