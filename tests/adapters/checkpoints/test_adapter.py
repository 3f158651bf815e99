"""Loading checkpoints, and saying in one line why one cannot be loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_cases import mixed, small_adapter

import coreheads
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.checkpoints.fingerprint import checkpoint_fingerprint
from coreheads.adapters.families import registry
from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.processor import build_processor
from coreheads.errors import UserError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    build_model(3, hidden_size=64, num_hidden_layers=2).save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


def altered(checkpoint: Path, tmp_path: Path, **fields: Any) -> Path:
    """A folder that has only the configuration, with other values."""
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **fields}))
    return tmp_path


def test_a_saved_checkpoint_answers_like_the_model_that_was_saved(checkpoint: Path) -> None:
    adapter = coreheads.load_adapter(checkpoint)
    assert isinstance(adapter, Qwen3VL)
    assert adapter.describe() == {
        "id": str(checkpoint),
        "revision": None,
        "model_type": "qwen3_vl",
        "layers": 2,
        "heads": 16,
        "kv_heads": 8,
        "fingerprint": checkpoint_fingerprint(str(checkpoint)),
    }
    assert (adapter.device.type, adapter.dtype) == ("cpu", torch.float32)
    assert not adapter.model.training
    own = Qwen3VL(build_model(3, hidden_size=64, num_hidden_layers=2), build_processor())
    (said,) = adapter.generate([adapter.prepare(mixed(), query="red-star")], max_new_tokens=6)
    (wanted,) = own.generate([own.prepare(mixed())], max_new_tokens=6)
    # loaded weights may start at another byte of a cache line, and matrix products then add up in another order
    assert said.margin == pytest.approx(wanted.margin, abs=1e-5)
    assert replace(said, margin=wanted.margin) == wanted


def test_settings_dtype_and_attention_are_passed_on(checkpoint: Path) -> None:
    adapter = load_adapter(checkpoint, device="auto", dtype="bfloat16", attn_implementation="eager", fps=1)
    assert adapter.dtype == torch.bfloat16
    assert adapter.processor.video_processor.fps == 1
    assert adapter.model.config.text_config._attn_implementation == "eager"
    assert len(adapter.generate([adapter.prepare(mixed())], max_new_tokens=2)[0].token_ids) <= 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"device": "gpu"}, "device: 'gpu', expected auto, cpu, cuda, cuda:N or auto-map"),
        ({"device": "cuda:77"}, "device: 'cuda:77', but this machine has"),
        ({"device": "meta"}, "device: 'meta'"),
        ({"dtype": "int8"}, "dtype: 'int8', expected one of float32, bfloat16, float16, auto"),
        ({"attn_implementation": "magic"}, "its model cannot be loaded"),
        ({"speed": 3}, "setting speed"),
        ({"fps": -1}, "setting fps: -1"),
        ({"attn_implementation": 5}, "attn_implementation: 5, expected a name"),
        ({"id": "x"}, "setting id: is not one"),
    ],
)
def test_wrong_arguments(checkpoint: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_adapter(checkpoint, **arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_checkpoints(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(path: str | Path) -> str:
        with pytest.raises(UserError) as caught:
            load_adapter(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refusal(tmp_path / "none").endswith("or a hub id such as Qwen/Qwen3-VL-8B-Instruct")
    assert "no such folder" in refusal("nothing-of-that-name")
    assert "no such folder" in refusal("./Qwen/Qwen3-VL")
    assert "has no config.json" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "its configuration cannot be loaded" in refusal(tmp_path)
    assert "its configuration cannot be loaded" in refusal(altered(checkpoint, tmp_path, model_type="no_such_type"))
    assert "its model cannot be loaded" in refusal(altered(checkpoint, tmp_path))
    for name in ("model.safetensors", "generation_config.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    assert "its processor cannot be loaded" in refusal(tmp_path)


def test_weights_that_are_missing_are_never_drawn_at_random(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint, tmp_path / "lacking")
    weights = load_file(checkpoint / "model.safetensors")
    dropped = [name for name in weights if ".layers.1.self_attn." in name and "language_model" in name]
    kept = {name: value for name, value in weights.items() if name not in dropped}
    save_file(kept, tmp_path / "lacking" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        load_adapter(tmp_path / "lacking")
    assert (
        f"its files lack {len(dropped)} of the model's weights, such as model.language_model.layers.1.self_attn"
        in str(caught.value)
    )


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", None])
def test_damaged_weights_are_one_line(checkpoint: Path, tmp_path: Path, content: bytes | None) -> None:
    shutil.copytree(checkpoint, tmp_path / "damaged")
    file = tmp_path / "damaged" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000] if content is None else content)
    with pytest.raises(UserError, match="its model cannot be loaded") as caught:
        load_adapter(tmp_path / "damaged")
    assert "\n" not in str(caught.value)


def test_a_configuration_that_does_not_fit_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    config = json.loads((checkpoint / "config.json").read_text())
    for value, said in ((128, "cannot be loaded"), ("x", "its configuration cannot be loaded")):
        config["text_config"]["hidden_size"] = value
        (tmp_path / "other" / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=said) as caught:
            load_adapter(tmp_path / "other")
        assert "\n" not in str(caught.value)


def test_an_unsupported_type_is_named_with_the_supported_ones(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_adapter(altered(checkpoint, tmp_path, model_type="qwen2_5_vl"))
    assert "model_type is 'qwen2_5_vl', expected one of internvl, llava_onevision, qwen3_vl, qwen3_vl_moe" in str(
        caught.value
    )


def test_a_hub_id_that_cannot_be_had_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "from coreheads import load_adapter, UserError\n"
        "try: load_adapter('nobody/nothing')\n"
        "except UserError as error: print(error)"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=offline, check=True)
    assert done.stdout.startswith("nobody/nothing: not on this machine, and the hub cannot be asked for it (")
    assert done.stdout.count("\n") == 1


def test_a_new_family_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "new_type", f"{__name__}:NewFamily")
    assert registry.family("new_type", "a") is NewFamily


class NewFamily(Qwen3VL):
    pass


def test_the_registry_imports_no_family_and_no_torch() -> None:
    code = "import sys, coreheads.adapters.checkpoints.adapter; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_adapter_from_a_loaded_model() -> None:
    assert small_adapter().id == "small"
    assert Qwen3VL(small_adapter().model, build_processor()).id == "Qwen3VLForConditionalGeneration"
