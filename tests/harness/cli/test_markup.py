"""Square brackets and :emoji: in names of files, folders and models are shown as they are, on every sink of rich."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run
import trees
from profile_samples import random_profile

from coreheads.adapters.checkpoints import hub
from coreheads.cli import main
from coreheads.files import write_json

NAME = "x[/b] [red] :warning:"
"""A closing tag, an opening one, and an emoji's name, for rich."""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / NAME
    folder.mkdir(parents=True)
    return folder


def test_plans(odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_profile().save(odd / "h[red]x.json")
    models = [
        {"id": "someone/something", "name": f"m{NAME}", "heads": str(odd / "h[red]x.json")},
        {"id": "someone/other", "name": f"n{NAME}"},
    ]
    content = {
        "models": models,
        "device": "cpu[/b]",
        "profile": {"tasks": [small_run.REC], "samples": 3},
        "evaluate": {"tasks": [small_run.REC], "limit": 4},
        "out": str(odd / "run"),
    }
    assert main(["run", str(small_run.write_config(tmp_path / "c.yaml", content)), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"m{NAME} on cpu[/b]" in out
    assert f"  heads: {odd / 'h[red]x.json'}\n" in out
    assert str(odd / "run") in out


def test_findings_of_validate(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.mlvu_dev(odd)
    write_json(odd / "mlvu_dev/MLVU/json/1_plotQA.json", [trees.question("plotQA", "x", [NAME])])
    assert main(["tasks", "validate", "coreheads_mlvu_dev", "--data-root", str(odd)]) == 1
    out = "".join(line[2:] for line in capsys.readouterr().out.splitlines())
    assert "[red]" in out
    assert ":warning:" in out


def test_models_of_the_cache(odd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(odd / "config.json", {"model_type": "qwen3_vl"})
    (odd / "a.safetensors").touch()
    monkeypatch.setattr(hub, "cached_models", lambda: [(NAME, odd)])
    assert main(["models"]) == 0
    assert NAME in capsys.readouterr().out


def test_mini_data_in_such_a_cache(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from coreheads.tasks.mini.data import ensure
    from coreheads.tasks.mini.sizes import Sizes

    ensure(["refcocog"], sizes=Sizes(refcocog=(1, 1)), cache=odd)
    assert f"making mini data (refcocog) in {odd}" in capsys.readouterr().err
