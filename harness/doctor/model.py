"""Whether a model can be loaded on this machine, and what memory it takes.

No weight is read, and nothing is downloaded but the configuration of a checkpoint whose shape is not known here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from coreheads.doctor.environment import Check
from coreheads.errors import UserError, one_line
from coreheads.text import gib

CONTEXT = 32768
"""Tokens for which there must be room in the key-value cache, or all that the model takes where that is less."""

_CONTEXTS = (8192, 32768, 131072)
_LATER = "the hub has them, and they are downloaded when the model is loaded"


def examine_model(name: str, device: str = "auto", dtype: str = "bfloat16") -> list[Check]:
    """Findings about a hub id, a folder or ``tiny``, in the order in which loading would fail.

    device, dtype: as ``load_adapter`` takes them. The last finding is the verdict.
    """
    from coreheads.adapters.checkpoints import loading

    checks: list[Check] = []
    try:
        target = loading.device(device)
        number_type = loading.dtype(dtype)
        folder, config, whole = _configuration(name, checks)
        checks.append(_family(name, config))
        need = _memory(config, number_type, checks)
        checks.append(_room(target, need))
        if folder is not None:
            checks += [_weights(folder, whole), _processor(folder, whole)]
    except UserError as error:
        checks.append(Check("model", False, str(error)))
    wrong = [check.name for check in checks if not check.ok]
    verdict = f"yes: load_adapter({name!r}, device={device!r}, dtype={dtype!r})"
    if wrong:
        verdict = f"no: {', '.join(wrong)}"
    return [*checks, Check("can be loaded here", not wrong, verdict)]


def _configuration(name: str, checks: list[Check]) -> tuple[Path | None, Any, bool]:
    """The checkpoint's folder on this machine (None: it has none), its configuration, and whether what the folder
    lacks cannot come from the hub."""
    from coreheads.adapters.checkpoints import hub, loading, published

    place = loading.locate(name)
    if Path(place).is_dir():
        checks.append(Check("files", True, place))
        return Path(place), loading.config(name, place), True
    folder, problem = hub.cached(name), hub.unreachable(name)
    if folder is not None:
        checks.append(Check("files", True, str(folder)))
        return folder, loading.config(name, str(folder)), bool(problem)
    known = name in published.names()
    if problem and not known:
        raise loading.out_of_reach(name, problem)
    where = f"the hub cannot be asked for them ({problem})" if problem else _LATER
    checks.append(Check("files", not problem, f"not on this machine; {where}"))
    return None, published.config(name) if known else loading.config(name, name), bool(problem)


def _family(name: str, config: Any) -> Check:
    from coreheads.adapters.checkpoints.registry import family

    adapter = family(config.model_type, name)
    text = config.text_config
    shape = f"{text.num_hidden_layers} layers x {text.num_attention_heads} heads, {text.num_key_value_heads} KV heads"
    context = f"up to {text.max_position_embeddings:,} tokens"
    return Check("family", True, f"{config.model_type} ({adapter.__name__}), {shape}, {context}")


@lru_cache(maxsize=32)
def needed_bytes(name: str, dtype: str) -> tuple[int, int, int]:
    """(bytes of the weights, of a key-value cache, of so many tokens) of a checkpoint whose shape is known here.

    Nothing is downloaded; UserError where the shape would have to be.
    """
    from coreheads.adapters.checkpoints import hub, loading, published

    place = loading.locate(name)
    folder = Path(place) if Path(place).is_dir() else hub.cached(name)
    config = loading.config(name, str(folder)) if folder is not None else published.config(name)
    count, number = _parameters(config, loading.dtype(dtype))
    tokens = min(CONTEXT, int(config.text_config.max_position_embeddings))
    return count * number.itemsize, tokens * _token_bytes(config.text_config, number), tokens


def _memory(config: Any, dtype: Any, checks: list[Check]) -> int:
    """Bytes of the weights and of the key-value cache of CONTEXT tokens."""
    count, number = _parameters(config, dtype)
    weights = count * number.itemsize
    text = config.text_config
    token = _token_bytes(text, number)
    name = str(number).removeprefix("torch.")
    number_of = f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count / 1e6:.2f} million"
    checks.append(Check("weights", True, f"{number_of} parameters, {gib(weights)} in {name}"))
    most = text.max_position_embeddings
    sizes = ", ".join(f"{gib(token * tokens)} at {tokens:,} tokens" for tokens in _CONTEXTS if tokens <= most)
    checks.append(Check("KV cache", True, f"{token / 1024:.0f} KiB a token" + (f": {sizes}" if sizes else "")))
    need: int = weights + token * min(CONTEXT, int(most))
    return need


def _token_bytes(text: Any, number: Any) -> int:
    """Of the key-value cache, a token."""
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    size: int = 2 * text.num_hidden_layers * text.num_key_value_heads * width * number.itemsize
    return size


def _parameters(config: Any, dtype: Any) -> tuple[int, Any]:
    """(number of parameters, torch dtype that they are loaded in)."""
    import torch
    from transformers import AutoModelForImageTextToText

    from coreheads.quiet import quiet

    try:
        with quiet(), torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
            model.tie_weights()
    except Exception as error:  # numbers that make no model
        raise UserError(f"config.json: describes no model that can be built ({one_line(error)})") from error
    number = dtype if isinstance(dtype, torch.dtype) else getattr(config, "dtype", None) or torch.float32
    # a tied embedding is one parameter under two names
    count: int = sum({id(parameter): parameter.numel() for parameter in model.parameters()}.values())
    return count, number


def _room(device: Any, need: int) -> Check:
    import psutil
    import torch

    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    text = f"{gib(need)} for weights and cache, {gib(free)} free on {device}; activations come on top"
    return Check("memory", need < free, text)


def _weights(folder: Path, whole: bool) -> Check:
    from coreheads.adapters.checkpoints import hub

    found = hub.weights(folder)
    if found.broken:
        return Check("weight files", False, f"damaged: {', '.join(found.broken)}")
    if found.missing:
        more = "" if whole else f"; {_LATER}"
        return Check("weight files", not whole, f"not there: {', '.join(found.missing)}{more}")
    return Check("weight files", True, gib(found.bytes))


def _processor(folder: Path, whole: bool) -> Check:
    from transformers import AutoProcessor

    from coreheads.quiet import quiet

    try:
        with quiet():
            found = AutoProcessor.from_pretrained(folder)
    except Exception as error:  # a broken processor is a finding, whatever it raises
        return Check("processor", not whole, one_line(error) if whole else f"not there; {_LATER}")
    template = "" if found.chat_template else ", without a chat template"
    return Check("processor", not template, f"{type(found).__name__}{template}")
