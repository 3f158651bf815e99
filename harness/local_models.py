"""Checkpoints on this machine that an adapter family can load: the embedded one and the hub's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint: its id for ``load_adapter``, what its configuration says, and where it lies."""

    id: str
    model_type: str
    shape: str
    place: str


def found() -> list[LocalModel]:
    """The embedded model first (whether or not its weights are there), then what the hub's cache holds."""
    from coreheads.adapters.registry import FAMILIES
    from coreheads.adapters.tiny import checkpoint_path

    embedded = checkpoint_path()
    config = _read(embedded / "config.json")
    weights = any(embedded.glob("*.safetensors")) if embedded.is_dir() else False
    place = "embedded" if weights else "embedded, but its weights are missing"
    models = [LocalModel("tiny", str(config.get("model_type", "")), _shape(config), place)]
    for name, folder in _cached():
        config = _read(folder / "config.json")
        if config.get("model_type") in FAMILIES and any(folder.glob("*.safetensors")):
            models.append(LocalModel(name, str(config["model_type"]), _shape(config), "hub cache"))
    return models


def _cached() -> Iterator[tuple[str, Path]]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    if hub.is_dir():
        for folder in sorted(hub.glob("models--*")):
            for snapshot in sorted((folder / "snapshots").glob("*")):
                yield folder.name.removeprefix("models--").replace("--", "/"), snapshot


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _shape(config: dict[str, Any]) -> str:
    text = config.get("text_config", config)
    numbers = [text.get(name) for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")]
    return "" if None in numbers else f"{numbers[0]} x {numbers[1]} ({numbers[2]})"
