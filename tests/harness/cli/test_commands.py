"""The command line: instant help, one line for wrong input, exit codes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import small_run
import yaml

from coreheads.cli import COMMANDS, main
from coreheads.files import read_json, write_json

HELP_NEEDS = {"coreheads", "typer", "annotated_doc", "shellingham"}
"""Packages outside the standard library that `coreheads --help` may load: typer, and what typer itself imports."""


def test_help_loads_typer_and_nothing_else() -> None:
    program = (
        "import sys\nbefore = set(sys.modules)\nfrom coreheads.cli import main\nstatus = main(['--help'])\n"
        "loaded = set(sys.modules) - before\n"
        "print(sorted({name.partition('.')[0] for name in loaded} - sys.stdlib_module_names))\n"
        "print(sorted(name for name in loaded if name.startswith('coreheads.')), status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *shown, packages, modules = done.stdout.strip().splitlines()
    assert set(ast.literal_eval(packages)) <= HELP_NEEDS
    ours, status = modules.rsplit(" ", 1)
    rooms = {"coreheads.cli", "coreheads.errors", "coreheads.heads", "coreheads.heads.types"}
    assert set(ast.literal_eval(ours)) == {*rooms, *(f"coreheads.cli.{name}" for name in COMMANDS)}
    assert status == "0"
    text = " ".join(" ".join(shown).split())
    assert all(f" {name} " in text for name in COMMANDS)
    # a summary of two lines is whole
    assert "models List the model families, their published checkpoints, and what lies on this machine to be" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert name in capsys.readouterr().out


def test_version_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    from coreheads import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"coreheads {__version__}"
    assert main(["nonsense"]) == 2
    assert main(["run", "--limit", "many"]) == 2


def test_tasks_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()
    assert main(["tasks"]) == 0
    assert small_run.REC in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "qwen3_vl" in capsys.readouterr().out


def test_ctrl_c_says_that_the_command_resumes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coreheads.config.schema.load_config", interrupted)
    assert main(["run"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr("coreheads.tasks.registry.names", interrupted)
    assert main(["tasks"]) == 130
    assert capsys.readouterr().err == "\nStopped.\n"


def test_dry_run_computes_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--dry-run", "--out", str(tmp_path / "run"), "--limit", "8"]) == 0
    out = capsys.readouterr().out
    assert "hybrid: top 10 % full" in out
    assert small_run.REC in out
    assert "cells" in out
    assert not (tmp_path / "run").exists()


def wrong(tmp_path: Path, **changes: object) -> Path:
    content = small_run.config(tmp_path / "model", tmp_path / "data", tmp_path / "run") | changes
    return small_run.write_config(tmp_path / "config.yaml", content)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evaluate": {"tasks": ["coreheads_mini_refcoco"]}}, "coreheads_mini_refcoco"),
        ({"profile": {"tasks": ["nothing"]}}, "nothing"),
        ({"cells": [{"patch": "prune", "selections": ["none"]}]}, "prune"),
        ({"cells": [{"patch": "hybrid", "selections": ["none"], "params": {"windows": 3}}]}, "windows"),
        ({"cells": [{"patch": "hybrid", "selections": ["none"], "params": {"window": 0}}]}, "window is 0"),
        ({"cells": [{"patch": "ablate", "selections": ["top"], "fractions": [0]}]}, "fractions.0 is 0"),
        ({"cells": [{"patch": "ablate", "selections": ["top"], "fractions": [2]}]}, "fractions.0 is 2"),
        ({"cells": [{"patch": "ablate", "selections": ["explicit"]}]}, "empty"),
        ({"models": [{"id": "nowhere", "heads": "nowhere.json"}]}, "nowhere.json"),
        ({"models": [{"id": "/nowhere/at-all"}]}, "/nowhere/at-all"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    tmp_path: Path, changes: dict[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(wrong(tmp_path, **changes)), "--quiet"]) == 2
    # the first run of all on a machine says that it makes data
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("making mini data")]
    assert [line.startswith("error: ") for line in lines] == [True]
    assert expected in lines[0]
    assert "Traceback" not in lines[0]


@pytest.mark.parametrize(
    ("changes", "meant"),
    [
        ({"evaluate": {"tasks": [small_run.REC, "coreheads_mini_mmdocr"]}}, "coreheads_mini_mmdocir"),
        ({"evaluate": {"tasks": [small_run.REC], "split": "tests"}}, "test"),
        ({"evaluate": {"tasks": [small_run.REC], "limt": 3}}, "limit"),
        ({"cells": [{"patch": "hybird", "selections": ["none"]}]}, "hybrid"),
        ({"cells": [{"patch": "hybrid", "selections": ["layer-matched"]}]}, "layer_matched"),
        ({"cells": [{"patch": "hybrid", "selections": ["none"], "params": {"windows": 3}}]}, "window"),
        ({"cells": [{"patch": "ablate", "selections": ["none"], "params": {"mode": "zeros"}}]}, "zero"),
        ({"modles": []}, "models"),
        ({"models": [{"id": "tiny", "dtype": "bfloat61"}]}, "bfloat16"),
        ({"models": [{"id": "tiny", "setings": {}}]}, "settings"),
        ({"options": {"coreheads_mini_refcocg": {}}}, "coreheads_mini_refcocog"),
        ({"timing": {"tasks": ["coreheads_mini_refcocg"]}}, "coreheads_mini_refcocog"),
    ],
)
def test_the_nearest_name_is_suggested(
    tmp_path: Path, changes: dict[str, object], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(wrong(tmp_path, **changes)), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"(did you mean {meant!r}?)" in line


def test_commands_and_configurations_have_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, meant in ((["runn"], "run"), (["heads", "shw"], "show"), (["run", "embeded"], "embedded")):
        assert main(arguments) == 2
        assert meant in capsys.readouterr().err


def test_missing_and_broken_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "none.yaml")]) == 2
    (tmp_path / "broken.yaml").write_text("a: [")
    assert main(["run", str(tmp_path / "broken.yaml")]) == 2
    (tmp_path / "heads.json").write_text("{}")
    assert main(["run", str(wrong(tmp_path, models=[{"id": "x", "heads": str(tmp_path / "heads.json")}]))]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)


def test_heads_of_another_model(
    tmp_path: Path, small_model: Path, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_run.profile().save(tmp_path / "heads.json")
    content = small_run.config(small_model, small_data, tmp_path / "run")
    content["models"] = [{"id": str(small_model), "heads": str(tmp_path / "heads.json")}]
    assert main(["run", str(small_run.write_config(tmp_path / "c.yaml", content)), "--quiet"]) == 2
    message = capsys.readouterr().err.strip()
    assert "another model" in message
    assert "heads.json" in message
    assert not (tmp_path / "run").exists(), "said before anything is loaded"
    # of the published models the shape is known without their files
    content["models"] = [{"id": "Qwen/Qwen3-VL-8B-Instruct", "heads": str(tmp_path / "heads.json")}]
    assert main(["run", str(small_run.write_config(tmp_path / "c.yaml", content)), "--dry-run"]) == 2
    assert "model.layers is 2, but Qwen/Qwen3-VL-8B-Instruct has 36" in capsys.readouterr().err


def test_folders_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "full"):
        assert main(["run", "--out", str(out), "--quiet"]) == 2
        message = capsys.readouterr().err.strip()
        assert len(message.splitlines()) == 1
        assert str(tmp_path) in message
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_another_configuration_on_a_stored_run_is_refused(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished_run / "cells.jsonl").read_bytes()
    config = str(finished_run.parent / "config.yaml")
    assert main(["run", config, "--set", "evaluate.limit=5", "--quiet"]) == 2
    message = capsys.readouterr().err
    assert "evaluate.limit: 4 there, 5 now" in message
    assert (finished_run / "cells.jsonl").read_bytes() == before
    assert read_json(finished_run / "manifest.json")["config"]["evaluate"]["limit"] == 4


def test_manifest_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    manifest = json.loads((run.path / "manifest.json").read_text()) | {"schema_version": 7}
    write_json(run.path / "manifest.json", manifest)
    assert main(["leaderboard", str(run.path), "--out", str(tmp_path / "board")]) == 2
    assert "schema_version is 7" in capsys.readouterr().err


def test_default_configuration_is_the_one_in_the_package() -> None:
    from coreheads.config.schema import default_path, load_config

    tree = yaml.safe_load(default_path().read_text())
    assert load_config().evaluate.tasks == tuple(tree["evaluate"]["tasks"])
