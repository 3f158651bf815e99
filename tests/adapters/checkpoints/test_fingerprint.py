"""A checkpoint's fingerprint is that of what its files hold, part by part, and takes no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from coreheads.adapters.checkpoints import embedded, fingerprint, hub
from coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint
from coreheads.hashing.contents import CheckpointFingerprint, changed_parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded.folder("tiny"), tmp_path / "checkpoint"))


def known(name: str | Path, revision: str | None = None) -> CheckpointFingerprint:
    found = checkpoint_fingerprint(str(name), revision)
    assert found is not None
    return found


def one_weight(folder: Path, which: int = -1) -> None:
    """Change one number of one tensor; the file keeps its size and its times."""
    path = folder / "model.safetensors"
    about, weights = path.stat(), load_file(path)
    name = sorted(weights)[which]
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def rewritten(name: str, change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


def added(name: str, text: str = "{}") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a weight": (one_weight, ["weights"]),
    "the configuration": (rewritten("config.json", lambda text: text.replace("{", '{"x": 1,', 1)), ["settings"]),
    "generation": (rewritten("generation_config.json", lambda text: text + " "), ["settings"]),
    "code": (added("modeling_own.py", "x = 1"), ["settings"]),
    "the tokenizer": (rewritten("tokenizer.json", lambda text: text + " "), ["processor"]),
    "its settings": (rewritten("tokenizer_config.json", lambda text: text + " "), ["processor"]),
    "the processor": (rewritten("processor_config.json", lambda text: text + " "), ["processor"]),
    "a picture processor": (added("preprocessor_config.json"), ["processor"]),
    "the chat template": (rewritten("chat_template.jinja", lambda text: text + "."), ["processor"]),
    "a LoRA": (added("adapter_config.json"), ["weights"]),
    "the card": (rewritten("README.md", lambda text: text + "."), []),
    "a second format": (added("pytorch_model.bin"), []),
    "what a system leaves": (added("._tokenizer.json"), []),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_part_that_was_changed_has_another_fingerprint(what: str, folder: Path) -> None:
    before = known(folder)
    assert before == known("tiny")  # where it lies is no part of it
    change, parts = CHANGES[what]
    change(folder)
    assert changed_parts(before, known(folder)) == parts


@pytest.mark.parametrize("which", [0, 7, -1])
def test_weights_beyond_the_limit_count_by_every_tensor(
    which: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 1000)
    monkeypatch.setattr("coreheads.hashing.contents.WHOLE_BYTES", 1000)
    monkeypatch.setattr("coreheads.hashing.contents.BLOCK", 64)
    monkeypatch.setattr("coreheads.hashing.contents.BLOCKS", 4)
    before = known(folder)
    assert known(folder) == before
    one_weight(folder, which)
    assert changed_parts(before, known(folder)) == ["weights"]


@pytest.mark.parametrize("stem", ["model.safetensors", "pytorch_model.bin"])
def test_shards_that_an_index_names_count(stem: str, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    first, second = sorted(weights)[:2]
    shards = [f"{stem.replace('.', f'-0000{number}-of-00002.')}" for number in (1, 2)]

    def write(value: float) -> None:
        for shard, name in zip(shards, (first, second), strict=True):
            tensors = {name: weights[name] * 0 + value}
            if shard.endswith("bin"):
                torch.save(tensors, folder / shard)
            else:
                save_file(tensors, folder / shard)

    write(0)
    index = {"weight_map": {first: shards[0], second: shards[1]}}
    (folder / f"{stem}.index.json").write_text(json.dumps(index))
    before = known(folder)
    write(1)
    changed = known(folder)
    assert changed_parts(before, changed) == ["weights"]
    (folder / shards[1]).unlink()
    assert changed_parts(changed, known(folder)) == ["weights"]


def test_a_hub_id_is_what_the_cache_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda name, revision=None: folder if name == "some/model" else None)
    assert known("some/model") == known("tiny")
    assert checkpoint_fingerprint("other/model") is None
    assert checkpoint_fingerprint(str(folder / "nothing")) is None


def test_it_takes_no_torch() -> None:
    code = (
        "import sys\nfrom coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint\n"
        "checkpoint_fingerprint('tiny')\nassert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
