"""What a checkpoint's files hold, as a short text for each part of them: a path or a hub id does not say it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from coreheads.adapters.checkpoints import hub
from coreheads.adapters.checkpoints.location import locate
from coreheads.errors import UserError
from coreheads.files import matching
from coreheads.hashing.contents import BLOCK, CheckpointFingerprint, file_hash, json_hash
from coreheads.limits import GIB

WHOLE_BYTES = 4 * GIB
"""Weights that are larger, all files together, are not read whole."""

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""transformers loads the first of them that is there."""

_PROCESSOR = (
    *("*processor_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt"),
    *("*.model", "*.tiktoken", "chat_template*", "additional_chat_templates/*"),
    *("processing_*.py", "tokenization_*.py", "image_processing_*.py", "video_processing_*.py"),
)
_SETTINGS = ("config.json", "generation_config.json", "*.py")


def checkpoint_fingerprint(name: str, revision: str | None = None) -> CheckpointFingerprint | None:
    """What the files of a checkpoint hold now.

    Read are the files that transformers would load, so that a README or a second format of the weights does not count.
    Weights of more than 4 GiB in all are not read whole: of every file count its size, 4096 evenly spaced blocks of
    64 KiB and, where it is safetensors, its header and the first 64 KiB of every tensor.

    Args:
        name: As ``load_adapter`` takes it. A hub id stands for what the cache on this machine holds.
        revision: Of a hub id.

    Returns:
        None where the checkpoint is not on this machine.

    Raises:
        UserError: A file that cannot be read.
    """
    try:
        location = Path(locate(name))
    except UserError:
        return None
    folder = location if location.is_dir() else hub.cached(name, revision)
    if folder is None:
        return None
    weights = _weight_files(folder)
    whole = sum(path.stat().st_size for path in weights) <= WHOLE_BYTES
    files = [str(path.relative_to(folder)) for path in matching(folder, "*") + matching(folder, "*/*.jinja")]
    processor = [file for file in files if _is(file, _PROCESSOR)]
    settings = [file for file in files if _is(file, _SETTINGS) and file not in processor]
    return {
        "weights": json_hash({str(path.relative_to(folder)): _weight_hash(path, whole) for path in weights}),
        "settings": _all(folder, settings),
        "processor": _all(folder, processor),
    }


def _is(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(file, pattern) for pattern in patterns)


def _all(folder: Path, files: Iterable[str]) -> str:
    return json_hash({file: file_hash(folder / file) for file in files if (folder / file).is_file()})


def _weight_files(folder: Path) -> list[Path]:
    """Those that are there of the files that transformers loads: one, or an index and what it names."""
    chosen = [_named(folder / "config.json", "transformers_weights"), *_WEIGHTS]
    first = next((name for name in chosen if isinstance(name, str) and (folder / name).is_file()), None)
    names = {first, "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"}
    if first is not None and first.endswith(".index.json"):
        shards = _named(folder / first, "weight_map")
        names |= {name for name in shards.values() if isinstance(name, str)} if isinstance(shards, dict) else set()
    return sorted(folder / name for name in names if name is not None and (folder / name).is_file())


def _named(path: Path, key: str) -> object:
    """A field of a JSON file; None where there is none to be had."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content.get(key) if isinstance(content, dict) else None
    return None


def _weight_hash(path: Path, whole: bool) -> str:
    return file_hash(path, WHOLE_BYTES) if whole else file_hash(path, 0, _tensors(path))


def _tensors(path: Path) -> list[int]:
    """Where in a safetensors file the header's blocks and the tensors begin; none for a file of another format."""
    with suppress(OSError, ValueError, RecursionError, KeyError, TypeError), path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if path.suffix == ".safetensors" and length <= path.stat().st_size:
            header = json.loads(stream.read(length))
            tensors = [entry["data_offsets"][0] for name, entry in header.items() if name != "__metadata__"]
            return [*range(0, 8 + length, BLOCK), *(8 + length + int(start) for start in tensors)]
    return []
