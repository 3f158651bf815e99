"""The models that go by a name of ours: their checkpoints come with the package, or are built once from one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.errors import UserError
from coreheads.files import whole_file

TINY, SMOL, ONEVISION = "tiny", "smol", "smol-onevision"
"""Ids of the embedded models: the one that we trained, and SmolLM2 behind a tower that reads print, in two families."""

EMBEDDED = (TINY, SMOL, ONEVISION)


def folder(name: str) -> Path:
    """Where the checkpoint of an embedded model lies, or will lie once it is built."""
    if name == TINY:
        return Path(__file__).parents[1] / "tiny" / "checkpoint"
    from coreheads.adapters.smol import build

    return build.folder(name)


def config(name: str) -> dict[str, Any]:
    """What its config.json says, whether or not it is there; empty where that cannot be told."""
    if name == TINY:
        return read_config(folder(name))
    from coreheads.adapters.smol import build

    return build.config(name)


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint folder's config.json; empty where there is none that can be read."""
    try:
        said = json.loads(whole_file(folder / "config.json", limits.JSON_BYTES, "a configuration").decode("utf-8"))
    except (UserError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def checkpoint(name: str) -> Path:
    """The checkpoint's folder, built if need be; UserError where what it is built from is not installed."""
    if name == TINY:
        return folder(name)
    from coreheads.adapters.smol import build

    return build.checkpoint(name)


def missing(name: str) -> str:
    """What is to be done before the model can be loaded; empty where nothing is."""
    if name == TINY or folder(name).is_dir():
        return ""
    from coreheads.adapters.smol import weights

    return "" if weights.installed() is not None else f"`{weights.FETCH}` installs it"
