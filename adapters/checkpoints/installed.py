"""Checkpoints on this machine that an adapter family can load: the embedded ones and the hub's cache."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreheads.adapters.checkpoints import embedded, hub, published
from coreheads.adapters.checkpoints.embedded import read_config
from coreheads.adapters.families.registry import families
from coreheads.files import matching

_SHAPE = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "kv_heads": "num_key_value_heads"}


@dataclass(frozen=True)
class LocalModel:
    """A checkpoint on this machine, for people: ``heads`` is layers x query heads x KV heads, ``context`` in tokens.

    Both are "" where the configuration does not say.
    """

    id: str
    model_type: str
    heads: str
    context: str
    location: str


def local_models() -> list[LocalModel]:
    """The embedded models first (whether or not their weights are there), then what the hub's cache holds."""
    models = []
    for name in embedded.EMBEDDED:
        folder, config = embedded.folder(name), embedded.config(name)
        location = "embedded" if matching(folder, "*.safetensors") else "embedded, but its weights are missing"
        if not folder.is_dir():
            location = embedded.missing(name) or "built when it is first loaded"
        models.append(LocalModel(name, str(config.get("model_type", "")), *shape_columns(config), location))
    for name, folder in hub.cached_models():
        config = read_config(folder)
        there = any(path.is_file() for path in matching(folder, "*.safetensors"))
        if str(config.get("model_type")) in families() and there:
            models.append(LocalModel(name, str(config["model_type"]), *shape_columns(config), "hub cache"))
    return models


def shape_columns(config: dict[str, Any]) -> tuple[str, str]:
    """(layers x query heads x KV heads, context length) of the language model in a config.json.

    "" where it does not say.
    """
    shape, context = _shape(config), _text_config(config).get("max_position_embeddings")
    return " x ".join(map(str, shape.values())), f"{context:,}" if isinstance(context, int) else ""


def described(name: str) -> dict[str, Any] | None:
    """What an adapter's ``describe()`` would say of a model's shape, by its config.json or its published shape.

    None where neither is known on this machine, or it says less than all.
    """
    config: dict[str, Any] = {}
    with suppress(OSError, RuntimeError):  # no name of a file; no home of that user
        config = embedded.config(name) if name in embedded.EMBEDDED else read_config(Path(name).expanduser())
    if not config and (folder := hub.cached(name)) is not None:
        config = read_config(folder)
    config = config or (published.shape(name) if name in published.names() else {})
    shape = _shape(config)
    return {"id": name, "model_type": config.get("model_type"), **shape} if shape else None


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    text = config.get("text_config", config)
    return text if isinstance(text, dict) else {}


def _shape(config: dict[str, Any]) -> dict[str, int]:
    """Layers, heads and KV heads; empty where the configuration does not say all of them."""
    text = _text_config(config)
    shape = {name: text[key] for name, key in _SHAPE.items() if isinstance(text.get(key), int)}
    return shape if len(shape) == len(_SHAPE) else {}
