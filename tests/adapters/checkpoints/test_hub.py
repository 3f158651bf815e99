"""Checkpoints by their hub ids: from the cache of this machine, saved by the real classes, with no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from family_cases import FAMILIES, adapter
from PIL import Image
from safetensors.torch import save_file

from coreheads.adapters.checkpoints import hub
from coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint

NAMES = {
    "qwen3_vl": "Qwen/Qwen3-VL-8B-Instruct",
    "llava_onevision": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
    "internvl": "OpenGVLab/InternVL3_5-8B-HF",
}
REVISION = "0123456789abcdef0123456789abcdef01234567"

SCRIPT = """
import json, sys
from coreheads import load_adapter
from PIL import Image
adapter = load_adapter(sys.argv[1], num_frames=3) if sys.argv[2] == "frames" else load_adapter(sys.argv[1])
content = [{"type": "image", "image": Image.new("RGB", (300, 200), (9, 99, 199))}]
content += [{"type": "text", "text": "where is it ?"}]
prompt = adapter.prepare([{"role": "user", "content": content}], query="it")
answer = adapter.generate([prompt], max_new_tokens=5)[0]
print(json.dumps([adapter.describe(), prompt.tokens, len(prompt.vision_tokens), answer.token_ids]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache as huggingface_hub lays it out, with a small model of each family under a published name."""
    root = tmp_path_factory.mktemp("home")
    for model_type in FAMILIES:
        repository = root / "hub" / f"models--{NAMES[model_type].replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(REVISION)
        made = adapter(model_type)
        made.model.save_pretrained(repository / "snapshots" / REVISION)
        made.processor.save_pretrained(repository / "snapshots" / REVISION)
    return root


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=600
    )


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES[1:]]


@pytest.mark.parametrize("model_type", [FAMILIES[0], *SLOW])
def test_a_published_name_loads_from_the_cache(home: Path, model_type: str) -> None:
    done = run(home, "-c", SCRIPT, NAMES[model_type], "frames" if model_type != "qwen3_vl" else "")
    assert done.returncode == 0, done.stderr[-2000:]
    described, tokens, vision, answer = json.loads(done.stdout.splitlines()[-1])
    snapshot = home / "hub" / f"models--{NAMES[model_type].replace('/', '--')}" / "snapshots" / REVISION
    assert described == {
        "fingerprint": checkpoint_fingerprint(str(snapshot)),
        "id": NAMES[model_type],
        "revision": REVISION,
        "model_type": model_type,
        "layers": 2,
        "heads": 8,
        "kv_heads": 4,
    }
    made = adapter(model_type)
    content = [{"type": "image", "image": Image.new("RGB", (300, 200), (9, 99, 199))}]
    prompt = made.prepare([{"role": "user", "content": [*content, {"type": "text", "text": "where is it ?"}]}])
    assert (tokens, vision) == (prompt.tokens, len(prompt.vision_tokens))
    assert answer == made.generate([prompt], max_new_tokens=5)[0].token_ids


@pytest.mark.slow
def test_the_doctor_finds_them(home: Path) -> None:
    done = run(home, "-c", "import sys; from coreheads.cli import main; sys.exit(main())", "doctor", NAMES["internvl"])
    assert "ok      processor: InternVLProcessor" in done.stdout, done.stderr[-2000:]
    assert "ok      can be loaded here: yes" in done.stdout
    assert done.returncode == 0


def test_weights_that_are_not_all_there(tmp_path: Path) -> None:
    assert hub.weights(tmp_path) == hub.Weights(0, ("model.safetensors",))
    save_file({"x": torch.zeros(3)}, tmp_path / "a.safetensors")
    size = (tmp_path / "a.safetensors").stat().st_size
    assert hub.weights(tmp_path) == hub.Weights(size)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}}))
    assert hub.weights(tmp_path) == hub.Weights(size, ("b.safetensors",))
    (tmp_path / "b.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    assert hub.weights(tmp_path).broken == ("b.safetensors",)
    index.write_text("{")
    assert hub.weights(tmp_path) == hub.Weights(0, broken=(index.name,))


def test_what_is_no_hub_id_is_not_cached() -> None:
    assert hub.cached("a/b/c/../d") is None
    assert hub.cached("nobody/nothing-of-that-name") is None


def test_damaged_entries_of_the_cache_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert hub.cached_models() == []
    for name, refers_to in (("a", "two"), ("b", "gone"), ("c", None)):
        for revision in ("one", "two"):
            snapshot = tmp_path / "hub" / f"models--x--{name}" / "snapshots" / revision
            snapshot.mkdir(parents=True)
            (snapshot / "config.json").write_text("{}")
        if refers_to is not None:
            (snapshot.parents[1] / "refs").mkdir()
            (snapshot.parents[1] / "refs" / "main").write_text(refers_to)
    (tmp_path / "hub" / "models--x--file").write_text("")
    # a README whose blob is gone is no fault of the model, a configuration whose blob is gone is
    (tmp_path / "hub/models--x--a/snapshots/two/README.md").symlink_to("../../blobs/gone")
    broken = tmp_path / "hub/models--x--d/snapshots/one"
    broken.mkdir(parents=True)
    (broken / "config.json").symlink_to("../../blobs/gone")
    (broken.parents[1] / "refs").mkdir()
    (broken.parents[1] / "refs/main").write_text("one")
    assert hub.cached_models() == [("x/a", tmp_path / "hub" / "models--x--a" / "snapshots" / "two")]
    assert hub.cached("x/a") == hub.cached_models()[0][1]
    assert hub.cached("x/b") is None
