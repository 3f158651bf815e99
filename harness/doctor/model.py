"""Whether a model can be loaded on this machine, and what memory it takes: no weight is read, and nothing is downloaded
but the configuration of a checkpoint whose shape is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch

from coreheads.adapters.checkpoints import device_map, hub, loading, location, published, template
from coreheads.adapters.checkpoints.quiet import quiet
from coreheads.adapters.checkpoints.shapes import empty_model, weight_bytes
from coreheads.adapters.families.registry import family
from coreheads.doctor.environment import Check
from coreheads.doctor.memory import cache_bytes
from coreheads.errors import UserError, one_line
from coreheads.text import gib

CONTEXT = 32768
"""Tokens for which there must be room in the key-value cache, or all that the model takes where that is less."""

_CONTEXTS = (8192, 32768, 131072)
_LATER = "the hub has them, and they are downloaded when the model is loaded"


def examine_model(name: str, device: str = "auto", dtype: str = "bfloat16") -> list[Check]:
    """Findings about a hub id, a folder or an embedded model, in the order in which loading would fail.

    device, dtype: as ``load_adapter`` takes them; UserError for what names none. The last finding is the verdict.
    """
    loading.dtype(dtype)
    if device != device_map.AUTO:
        loading.named_device(device)
    checks: list[Check] = []
    try:
        for check in _checks(name, device, dtype):
            checks.append(check)  # those before an error are kept
    except UserError as error:
        checks.append(Check("model", False, str(error)))
    wrong = [check.name for check in checks if not check.ok]
    verdict = f"yes: load_adapter({name!r}, device={device!r}, dtype={dtype!r})"
    if wrong:
        verdict = f"no: {', '.join(wrong)}"
    return [*checks, Check("can be loaded here", not wrong, verdict)]


def _checks(name: str, device: str, dtype: str) -> Iterator[Check]:
    """The findings but the verdict; UserError ends them."""
    target = device_map.asked(device)
    path, known = Path(location.locate(name)), name in published.names()
    problem = "" if path.is_dir() else hub.unreachable(name)
    folder = path if path.is_dir() else hub.cached(name)
    if folder is not None:
        yield Check("files", True, str(folder))
        config = loading.config(name, str(folder))
    elif problem and not known:
        raise loading.out_of_reach(name, problem)
    else:
        where = f"the hub cannot be asked for them ({problem})" if problem else _LATER
        yield Check("files", not problem, f"not on this machine; {where}")
        config = published.config(name) if known else loading.config(name, name)
    kind = f"{config.model_type} ({family(config.model_type, name).__name__})"
    text = config.text_config
    shape = f"{text.num_hidden_layers} layers x {text.num_attention_heads} heads, {text.num_key_value_heads} KV heads"
    most = text.max_position_embeddings
    yield Check("family", True, f"{kind}, {shape}, up to {most:,} tokens")

    number = loading.dtype_of(config, dtype)
    model = empty_model(config, number)
    count, weights = sum(parameter.numel() for parameter in model.parameters()), weight_bytes(model)
    size = f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count / 1e6:.2f} million"
    yield Check("weights", True, f"{size} parameters, {gib(weights)} in {str(number).removeprefix('torch.')}")
    token = cache_bytes(config, number)
    sizes = ", ".join(f"{gib(token * tokens)} at {tokens:,} tokens" for tokens in _CONTEXTS if tokens <= most)
    yield Check("KV cache", True, f"{token / 1024:.0f} KiB a token" + (f": {sizes}" if sizes else ""))
    need = weights + token * _cache_tokens(config)
    free, where = _free(target)
    room = f"{gib(need)} for weights and cache, {gib(free)} free on {where}; activations come on top"
    yield Check("memory", need < free, room)
    if folder is not None:
        whole = path.is_dir() or bool(problem)  # what the folder lacks cannot come from the hub
        yield from (_weights(folder, whole), _processor(folder, whole))


@lru_cache(maxsize=32)
def needed_bytes(name: str, dtype: str) -> tuple[int, int, int]:
    """(bytes of the weights, of a key-value cache, of so many tokens) of a checkpoint whose shape is known here.

    Nothing is downloaded; UserError where the shape would have to be.
    """
    path = Path(location.locate(name))
    folder = path if path.is_dir() else hub.cached(name)
    config = loading.config(name, str(folder)) if folder is not None else published.config(name)
    number = loading.dtype_of(config, dtype)
    tokens = _cache_tokens(config)
    return weight_bytes(empty_model(config, number)), cache_bytes(config, number, tokens), tokens


def _free(target: dict[str, str] | device_map.Gpus) -> tuple[int, str]:
    """Free bytes where a model would be put, and that in words."""
    if not isinstance(target, dict):
        free = device_map.free_memory()
        return sum(free), f"{len(free)} GPUs"
    (name,) = target.values()
    if name.startswith("cuda"):
        return torch.cuda.mem_get_info(name)[0], name
    return psutil.virtual_memory().available, name


def _cache_tokens(config: Any) -> int:
    return min(CONTEXT, int(config.text_config.max_position_embeddings))


def _weights(folder: Path, whole: bool) -> Check:
    files = hub.weights(folder)
    if files.broken:
        return Check("weight files", False, f"damaged: {', '.join(files.broken)}")
    if files.missing:
        more = "" if whole else f"; {_LATER}"
        return Check("weight files", not whole, f"not there: {', '.join(files.missing)}{more}")
    return Check("weight files", True, gib(files.bytes))


def _processor(folder: Path, whole: bool) -> Check:
    from transformers import AutoProcessor

    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(folder)
    except Exception as error:  # a broken processor is a finding, whatever it raises
        return Check("processor", not whole, one_line(error) if whole else f"not there; {_LATER}")
    name = type(processor).__name__
    if not processor.chat_template:
        return Check("processor", False, f"{name}, without a chat template")
    wrong = template.problem(processor.chat_template)
    return Check("processor", not wrong, f"{name}, whose chat template {wrong}" if wrong else name)
