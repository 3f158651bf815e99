"""Loading a checkpoint with transformers, with every way it can fail told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from coreheads import limits
from coreheads.adapters.checkpoints import hub, template
from coreheads.adapters.checkpoints.embedded import EMBEDDED
from coreheads.adapters.generation.memory import is_out_of_memory
from coreheads.adapters.value_checks import one_of
from coreheads.errors import OutOfMemory, UserError, one_line
from coreheads.files import read_json

DTYPES = ("float32", "bfloat16", "float16", "auto")


def device(name: str) -> torch.device:
    """The device of that name, "auto" being CUDA when there is one; UserError when there is none of it here."""
    target = named_device(name)
    if target.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (target.index or 0) >= count:
            raise UserError(f"device: {name!r}, but this machine has {count} CUDA devices that torch can use")
    if target.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device: {name!r}, but torch cannot use it on this machine")
    return target


def named_device(name: str) -> torch.device:
    """What the name stands for, whether it is here or not; UserError for one that stands for nothing."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        target = torch.device(name)
    except RuntimeError:
        target = torch.device("meta")
    if target.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"device: {name!r}, expected auto, cpu, cuda, cuda:N or auto-map")
    return target


def dtype(name: str) -> torch.dtype | str:
    """The torch dtype of that name, or "auto"."""
    one_of("dtype:", name, DTYPES)
    number_type: torch.dtype | str = name if name == "auto" else getattr(torch, name)
    return number_type


def dtype_of(config: Any, name: str) -> torch.dtype:
    """The torch dtype of that name; "auto" is the checkpoint's own, and bfloat16 where its configuration names none."""
    chosen = dtype(name)
    if isinstance(chosen, torch.dtype):
        return chosen
    own: torch.dtype | None = config.dtype or config.text_config.dtype
    return own or torch.bfloat16


def only_local(name: str, location: str, revision: str | None) -> bool:
    """Whether only files on this machine can be used: a folder's, or the cache's where the hub cannot be asked.

    UserError where the hub cannot be asked and the cache has nothing.
    """
    if Path(location).is_dir():
        return True
    problem = hub.unreachable(name, revision)
    if problem and hub.cached(name, revision) is None:
        raise out_of_reach(name, problem)
    return bool(problem)


def out_of_reach(name: str, problem: str) -> UserError:
    """The error for a checkpoint that is neither here nor to be had."""
    return UserError(f"{name}: not on this machine, and the hub cannot be asked for it ({problem})")


def commit(location: str, revision: str | None) -> str | None:
    """The commit of a hub id's files, which the cache's folder is named after; a local folder has the one asked for."""
    folder = None if Path(location).is_dir() else hub.cached(location, revision)
    return folder.name if folder is not None else revision


def config(name: str, location: str, **source: Any) -> Any:
    """The checkpoint's configuration; ``source`` as ``from_pretrained`` takes it (revision, local_files_only, ...)."""
    from transformers import AutoConfig

    path = Path(location) / "config.json"
    try:
        if path.is_file():  # lists of so many layers are made of it
            _check_layers(read_json(path, limits.STORED_BYTES))
        return AutoConfig.from_pretrained(location, **source)
    except Exception as error:  # configurations are checked by several libraries, each with errors of its own
        raise UserError(f"{name}: its configuration cannot be loaded ({one_line(error)})") from error


def _check_layers(node: Any) -> None:
    """ValueError for more layers than any model has; each is a module at least."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, int) and re.search("layers|depth", name):
            limits.check(value, limits.MODULES, name)
        _check_layers(value)


def model_and_processor(
    name: str,
    location: str,
    config: Any,
    device_map: dict[str, str],
    dtype: torch.dtype | str,
    attn_implementation: str | None,
    **source: Any,
) -> tuple[Any, Any]:
    """The model, in evaluation mode, and its processor; ``source`` as in ``config``.

    device_map: by name of module a device, "" being the whole model.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.utils import is_flash_attn_2_available

    how: dict[str, Any] = {"config": config, "dtype": dtype, "device_map": device_map, **source}
    if attn_implementation is not None:
        if not isinstance(attn_implementation, str):
            raise UserError(f"attn_implementation: {attn_implementation!r}, expected a name such as sdpa or eager")
        # asked for without the package, transformers may go and fetch a kernel from the hub
        if attn_implementation == "flash_attention_2" and not is_flash_attn_2_available():
            raise UserError("attn_implementation: flash_attention_2, but the package flash-attn cannot be used here")
        how["attn_implementation"] = attn_implementation
    try:
        with _no_bars():
            model, report = AutoModelForImageTextToText.from_pretrained(location, output_loading_info=True, **how)
    except Exception as error:  # a damaged file, weights of another shape, a package that is missing, ...
        if is_out_of_memory(error):
            raise OutOfMemory(f"{name}: out of memory while it was loaded ({one_line(error)})") from None
        raise UserError(f"{name}: its model cannot be loaded ({one_line(error)})") from error
    # transformers draws weights that are missing at random, and heads made of them would look like a result
    lacking = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if lacking:
        raise UserError(f"{name}: its files lack {len(lacking)} of the model's weights, such as {lacking[0]}")
    try:
        processor = AutoProcessor.from_pretrained(location, **source)
    except Exception as error:
        raise UserError(f"{name}: its processor cannot be loaded ({one_line(error)})") from error
    trusted = name in EMBEDDED or source.get("trust_remote_code")
    if not trusted and (problem := template.problem(processor.chat_template)):
        raise UserError(f"{name}: its chat template {problem}")
    return model.eval(), processor


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without the bars that transformers draws for a checkpoint's weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
