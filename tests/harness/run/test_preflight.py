"""What is looked at before a model is loaded, and prompts that are too long for the one that was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_run
import trees
from real_runs import DEV, config, run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl, write_json

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def test_missing_data_of_any_task_is_noticed_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = config(tmp_path / "no-model", tmp_path, tmp_path / "run", cells=[])
    content["evaluate"]["tasks"] = [small_run.REC, DEV]
    assert run(tmp_path, content) == 2
    message = capsys.readouterr().err.strip()
    assert str(tmp_path / "mlvu_dev") in message
    assert len(message.splitlines()) == 1
    trees.mlvu_dev(tmp_path)
    for path in (tmp_path / "mlvu_dev/MLVU/video").rglob("*.mp4"):
        path.unlink()
    assert run(tmp_path, content) == 2
    message = capsys.readouterr().err.strip()
    assert f"task {DEV}: " in message
    assert "not there, expected videos" in message
    trees.mlvu_dev(tmp_path)
    assert run(tmp_path, content) == 2
    assert "no-model" in capsys.readouterr().err


def test_profile_looks_at_data_and_names_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, model = "coreheads_mmdocir_page", str(tmp_path / "no-model")
    common = ["profile", model, "--data-root", str(tmp_path), "--out", str(tmp_path / "heads.json"), "--split", "all"]
    for arguments, expected in (
        (["--tasks", ""], "--tasks is '', expected one or more different names"),
        (["--tasks", f"{page},{page}"], "expected one or more different names"),
        (["--tasks", page, "--option", f"{DEV}.max_pages=3"], f"--option {DEV}: is no task of --tasks"),
        (["--tasks", page, "--option", "max_pages=3"], "--option max_pages: is no task of --tasks"),
        (["--tasks", page], str(tmp_path / "mmdocir")),
    ):
        assert main([*common, *arguments]) == 2
        message = capsys.readouterr().err.strip()
        assert expected in message
        assert len(message.splitlines()) == 1
    trees.mmdocir(tmp_path)
    (tmp_path / "mmdocir/MMDocIR_pages.parquet").unlink()
    assert main([*common, "--tasks", page]) == 2
    assert "MMDocIR_pages.parquet: not there, expected page images" in capsys.readouterr().err
    trees.mmdocir(tmp_path)
    assert main([*common, "--tasks", page]) == 2
    assert "no-model" in capsys.readouterr().err


def test_prompts_beyond_the_models_context_are_in_no_score(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(small_model, tmp_path / "model")
    about = read_json(model / "config.json")
    about["text_config"]["max_position_embeddings"] = 20
    write_json(model / "config.json", about)
    trees.mlvu_dev(tmp_path)
    # the model is to blame, not the data: its cells fail, and others would go on
    assert run(tmp_path, config(model, tmp_path, tmp_path / "run")) == 1
    assert "more than the 20 that the model takes" in capsys.readouterr().err
    stored = {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()}
    lines = [line for path in stored for line in read_jsonl(path)]
    assert {line["by"] for line in lines if "tokens" in line["unscored"]} == {"model"}
    assert all("unscored" in line for line in lines)
    assert run(tmp_path, config(model, tmp_path, tmp_path / "run")) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()} == stored
    trees.mmdocir(tmp_path)
    arguments = ["profile", str(model), "--tasks", "coreheads_mmdocir_page", "--data-root", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "heads.json"), "--device", "cpu", "--split", "all"]) == 2
    assert "more than the 20 that the model takes" in capsys.readouterr().err
