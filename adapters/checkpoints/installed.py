"""Checkpoints on this machine that an adapter family can load: the embedded one and the hub's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreheads.adapters.checkpoints.embedded import EMBEDDED

_SHAPE = ("layers", "heads", "kv_heads")


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint: its id for ``load_adapter``, what its configuration says, and where it lies."""

    id: str
    model_type: str
    heads: str
    context: str
    place: str


def found() -> list[LocalModel]:
    """The embedded model first (whether or not its weights are there), then what the hub's cache holds."""
    from coreheads.adapters.checkpoints.registry import FAMILIES

    models = []
    for name, folder in EMBEDDED.items():
        config = _read(folder / "config.json")
        place = "embedded" if any(folder.glob("*.safetensors")) else "embedded, but its weights are missing"
        models.append(LocalModel(name, str(config.get("model_type", "")), *numbers(config), place))
    for name, folder in _cached():
        config = _read(folder / "config.json")
        if str(config.get("model_type")) in FAMILIES and any(folder.glob("*.safetensors")):
            models.append(LocalModel(name, str(config["model_type"]), *numbers(config), "hub cache"))
    return models


def _cached() -> Iterator[tuple[str, Path]]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    if hub.is_dir():
        for folder in sorted(hub.glob("models--*")):
            # of several revisions the one that a name alone stands for
            try:
                snapshot = folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                continue
            yield folder.name.removeprefix("models--").replace("--", "/"), snapshot


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def numbers(config: dict[str, Any]) -> tuple[str, str]:
    """Layers x query heads x KV heads, and the context length, of the language model in a config.json.

    "" where it does not say.
    """
    part = config.get("text_config", config)
    text = part if isinstance(part, dict) else {}
    shape = [text.get(name) for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")]
    context = text.get("max_position_embeddings")
    sizes = " x ".join(map(str, shape)) if all(isinstance(number, int) for number in shape) else ""
    return sizes, f"{context:,}" if isinstance(context, int) else ""


def described(name: str) -> dict[str, Any] | None:
    """What an adapter's ``describe()`` would say of a model's shape, by its config.json or its published shape.

    None where neither is known on this machine, or it says less than all.
    """
    from coreheads.adapters.checkpoints import published

    config: dict[str, Any] = {}
    with suppress(OSError, RuntimeError):  # no name of a file; no home of that user
        config = _read((EMBEDDED.get(name) or Path(name).expanduser()) / "config.json")
    config = config or dict(_cached_configs()).get(name) or (published.shape(name) if name in published.names() else {})
    text = config.get("text_config", config)
    if not isinstance(text, dict):
        return None
    shape = [text.get(key) for key in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")]
    if not all(isinstance(number, int) for number in shape):
        return None
    return {"id": name, "model_type": config.get("model_type"), **dict(zip(_SHAPE, shape, strict=True))}


def _cached_configs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, folder in _cached():
        yield name, _read(folder / "config.json")
