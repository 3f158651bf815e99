"""``coreheads doctor MODEL`` and ``coreheads models``: what they say, and when they say no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from coreheads import limits
from coreheads.adapters.checkpoints import hub, template
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.checkpoints.embedded import TINY
from coreheads.adapters.checkpoints.embedded import folder as folder_of
from coreheads.cli import main
from coreheads.doctor.model import examine_model
from coreheads.errors import UserError


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "unreachable", lambda name, revision=None: "no network")
    monkeypatch.setattr(hub, "cached", lambda name, revision=None: None)


def said(name: str, **how: str) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.ok, check.text) for check in examine_model(name, **how)}


def test_the_embedded_model() -> None:
    found = said("tiny", device="cpu", dtype="bfloat16")
    assert all(ok for ok, _ in found.values())
    assert found["family"][1] == "qwen3_vl (Qwen3VL), 6 layers x 16 heads, 8 KV heads, up to 16,384 tokens"
    # 2 (K and V) x 6 layers x 8 KV heads x 32 numbers x 2 bytes
    assert found["KV cache"][1].startswith("6 KiB a token")
    weights = sum(path.stat().st_size for path in folder_of(TINY).glob("*.safetensors"))
    million = float(found["weights"][1].split()[0])
    assert million * 1e6 * 2 == pytest.approx(weights, rel=0.02)
    assert found["can be loaded here"][1] == "yes: load_adapter('tiny', device='cpu', dtype='bfloat16')"


def test_a_published_checkpoint_that_is_not_here() -> None:
    found = said("Qwen/Qwen3-VL-8B-Instruct")
    assert found["files"] == (False, "not on this machine; the hub cannot be asked for them (no network)")
    assert found["weights"] == (True, "8.77 billion parameters, 16.3 GiB in bfloat16")
    # 2 x 36 layers x 8 KV heads x 128 numbers x 2 bytes
    assert found["KV cache"][1].startswith("144 KiB a token: 1.1 GiB at 8,192 tokens, 4.5 GiB at 32,768 tokens")
    assert not found["can be loaded here"][0]
    assert said("Qwen/Qwen3-VL-8B-Instruct", dtype="float32")["weights"][1].endswith("32.7 GiB in float32")


def test_too_large_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**33})())
    ok, text = said("OpenGVLab/InternVL3_5-38B-HF", device="cpu")["memory"]
    assert not ok
    assert text == "79.5 GiB for weights and cache, 8.0 GiB free on cpu; activations come on top"


def test_a_checkpoint_that_lacks_files(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(folder_of(TINY), folder)
    (folder / "model.safetensors").unlink()
    (folder / "tokenizer.json").unlink()
    found = said(str(folder), device="cpu")
    assert found["weight files"] == (False, "not there: model.safetensors")
    assert not found["processor"][0]
    assert found["can be loaded here"] == (False, "no: weight files, processor")


def test_a_hub_that_answers_has_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The verdict is the same before and after something of a checkpoint is in the cache."""
    monkeypatch.setattr(hub, "unreachable", lambda name, revision=None: "")
    found = said("Qwen/Qwen3-VL-4B-Instruct", device="cpu")
    assert found["files"] == (
        True,
        "not on this machine; the hub has them, and they are downloaded when the model is loaded",
    )
    shutil.copy(folder_of(TINY) / "config.json", tmp_path)
    monkeypatch.setattr(hub, "cached", lambda name, revision=None: tmp_path)
    found = said("somebody/something", device="cpu")
    assert found["weight files"][0]
    assert found["processor"][0]
    assert found["can be loaded here"][0]
    monkeypatch.setattr(hub, "unreachable", lambda name, revision=None: "no network")
    assert said("somebody/something", device="cpu")["can be loaded here"] == (False, "no: weight files, processor")


def test_damaged_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(folder_of(TINY), folder)
    (folder / "model.safetensors").write_bytes(b"12345")
    assert said(str(folder), device="cpu")["weight files"] == (False, "damaged: model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = "x"
    (folder / "config.json").write_text(json.dumps(config))
    assert "its configuration cannot be loaded" in said(str(folder), device="cpu")["model"][1]


def test_odd_entries_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "40")
    text: list[Any] = [None, {"max_position_embeddings": "lots"}, {"num_hidden_layers": 3}, {}]
    for number, part in enumerate(text):
        for revision in ("one", "two"):
            folder = tmp_path / f"models--a--n{number}" / "snapshots" / revision
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_vl", "text_config": part}))
            (folder / "model.safetensors").write_bytes(b"")
        (folder.parent.parent / "refs").mkdir()
        (folder.parent.parent / "refs" / "main").write_text("two")
    (tmp_path / "models--a--n3" / "snapshots" / "two" / "config.json").write_text('{"model_type": ["qwen3_vl"]}')
    assert main(["models"]) == 0
    said_of = capsys.readouterr().out
    assert [said_of.count(f"a/n{number}") for number in range(4)] == [1, 1, 1, 0]
    assert "36 x 32 x 8  262,144" in said_of


def test_what_is_no_model(tmp_path: Path) -> None:
    assert said("nobody/nothing")["model"] == (
        False,
        "nobody/nothing: not on this machine, and the hub cannot be asked for it (no network)",
    )
    assert "no such folder" in said(str(tmp_path / "none"))["model"][1]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "model_type is 'bert', expected one of internvl, llava_onevision" in said(str(tmp_path))["model"][1]


def test_options_that_name_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "tiny", "--device", "gpu"]) == 2
    assert "error: device: 'gpu', expected auto" in capsys.readouterr().err
    assert main(["doctor", "tiny", "--dtype", "int4"]) == 2
    assert "error: dtype: 'int4', expected one of" in capsys.readouterr().err


def test_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "tiny", "--device", "cpu"]) == 0
    assert "ok      can be loaded here: yes" in capsys.readouterr().out
    assert main(["doctor", "nobody/nothing"]) == 1
    assert "MISSING can be loaded here: no: model" in capsys.readouterr().out
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "OpenGVLab/InternVL3_5-38B-HF" in text
    assert "64 x 64 x 8" in text
    assert "262,144" in text
    assert "llava_onevision" in text


def changed(folder: Path, **text: Any) -> Path:
    """The embedded model with another configuration of its language model."""
    shutil.copytree(folder_of(TINY), folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= text
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("layers", [100_000, 10**12, 10**400], ids=["many", "more", "most"])
def test_a_model_of_layers_without_end(tmp_path: Path, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULES", 2000 if layers <= 100_000 else limits.MODULES)
    found = said(str(changed(tmp_path / "deep", num_hidden_layers=layers)), device="cpu")
    assert "expected at most" in found["model"][1]
    assert not found["can be loaded here"][0]


def test_a_model_of_too_many_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODULES", 500)
    found = said(str(changed(tmp_path / "deep", num_hidden_layers=400)), device="cpu")
    assert "501 modules or more, expected at most 500" in found["model"][1]
    monkeypatch.setattr(limits, "MODULES", 100_000)


TEMPLATES = {
    "{{ 'a' * 10000000000 }}": template.TOO_LARGE,
    "{{ '%9999999999d' | format(1) }}": template.TOO_LARGE,
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": template.TOO_SLOW,
    "{% set n = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}": (
        template.TOO_LARGE
    ),
    "{{ messages[0].content[1].text }}": "",
    "{{ raise_exception('only texts') }}": "",
    "{% if": "",
}


@pytest.mark.parametrize("text", TEMPLATES)
def test_chat_templates_that_do_not_end(text: str) -> None:
    assert template.problem({"default": "x", "other": text}) == TEMPLATES[text]


def test_where_it_is_called_from_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where somebody looks at a checkpoint from within its folder."""
    for name in ("json", "torch", "transformers", "coreheads", "signal"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'hacked')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert template.problem("{{ messages[0].content[1].text }} here") == ""
    assert not (tmp_path / "hacked").exists()


def test_a_chat_template_that_does_not_end_is_a_finding(tmp_path: Path) -> None:
    folder = changed(tmp_path / "hostile")
    (folder / "chat_template.jinja").write_text("{{ 'a' * 10000000000 }}")
    with pytest.raises(UserError, match=f"hostile: its chat template {template.TOO_LARGE}"):
        load_adapter(folder)
    assert said(str(folder), device="cpu")["processor"] == (
        False,
        f"Qwen3VLProcessor, whose chat template {template.TOO_LARGE}",
    )
