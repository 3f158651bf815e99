"""Runs on real tasks over small trees: samples that cannot be scored, options, and what is refused before a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_run
import trees
from real_runs import DEV, config, run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def test_bad_samples_are_counted_and_the_run_goes_on(small_model: Path, tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    # half a video: what the decoder finds only when the prompt is made
    path = tmp_path / "mlvu_dev/MLVU/video/2_needle/findNeedle_1.mp4"
    path.write_bytes(path.read_bytes()[:300])
    content = config(small_model, tmp_path, tmp_path / "run")
    assert run(tmp_path, content) == 0
    for cell in read_jsonl(tmp_path / "run" / "cells.jsonl"):
        assert (cell["n"], cell["unscored"]) == (1, 2)
        assert cell["metrics"]["unscored"] == 2.0
        lines = {line["record_id"]: line for line in read_jsonl(tmp_path / f"run/samples/{cell['name']}.jsonl")}
        assert "score" in lines["1_plotQA/0"]
        assert "expected one of the candidates" in lines["1_plotQA/1"]["unscored"]
        assert "cannot be read as a video" in lines["2_needle/0"]["unscored"]
        assert cell["metric"] == "m_avg"
        assert lines["1_plotQA/0"]["group"] == "plotQA"
        assert cell["score"] == cell["metrics"]["m_avg"]
    board = (tmp_path / "run/leaderboard.md").read_text()
    assert "unscored" in board
    assert "not scored, among others: " in board
    rows = read_json(tmp_path / "run/leaderboard.json")["rows"]
    assert [row["n"] for row in rows] == [1, 1]


def test_a_run_that_goes_on_does_not_ask_again(small_model: Path, tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    content = config(small_model, tmp_path, tmp_path / "run")
    assert run(tmp_path, content) == 0
    samples = {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()}
    (tmp_path / "run/cells.jsonl").unlink()
    assert run(tmp_path, content) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()} == samples
    assert all(cell["unscored"] == 1 for cell in read_jsonl(tmp_path / "run/cells.jsonl"))


def test_a_task_without_a_usable_sample_stops_the_run(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.mlvu_dev(tmp_path)
    for path in (tmp_path / "mlvu_dev/MLVU/video").rglob("*.mp4"):
        path.write_bytes(b"no video")
    assert run(tmp_path, config(small_model, tmp_path, tmp_path / "run")) == 2
    message = capsys.readouterr().err.strip()
    assert "none of 3 samples could be scored" in message
    assert len(message.splitlines()) == 1


def test_a_sample_that_was_missing_is_asked_again_when_it_is_there(small_model: Path, tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    video = tmp_path / "mlvu_dev/MLVU/video/2_needle/findNeedle_1.mp4"
    video.rename(tmp_path / "aside.mp4")
    content = config(small_model, tmp_path, tmp_path / "run")
    assert run(tmp_path, content) == 0
    cells = tmp_path / "run/cells.jsonl"
    before = cells.read_text()
    assert {(cell["n"], cell["unscored"]) for cell in read_jsonl(cells)} == {(1, 2)}
    assert run(tmp_path, content) == 0  # nothing has changed, nothing is computed
    assert cells.read_text() == before
    (tmp_path / "aside.mp4").rename(video)
    assert run(tmp_path, content) == 0
    found = RunFolder.load(tmp_path / "run").cells()
    # the answer that is no option stays as it is
    assert {(cell["n"], cell["unscored"]) for cell in found.values()} == {(2, 1)}
    assert all(row["n"] == 2 for row in read_json(tmp_path / "run/leaderboard.json")["rows"])
    for name in found:
        store = RunFolder.load(tmp_path / "run").samples(name)
        assert set(store.unscored) == {"1_plotQA/1"}
        assert set(store.samples) == {"1_plotQA/0", "2_needle/0"}
    after = cells.read_text()
    assert run(tmp_path, content) == 0
    assert cells.read_text() == after


def test_an_interrupted_cell_asks_again_too(small_model: Path, tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    video = tmp_path / "mlvu_dev/MLVU/video/2_needle/findNeedle_1.mp4"
    video.rename(tmp_path / "aside.mp4")
    content = config(small_model, tmp_path, tmp_path / "run")
    assert run(tmp_path, content) == 0
    (tmp_path / "run/cells.jsonl").unlink()
    (tmp_path / "aside.mp4").rename(video)
    assert run(tmp_path, content) == 0
    assert {(cell["n"], cell["unscored"]) for cell in read_jsonl(tmp_path / "run/cells.jsonl")} == {(2, 1)}


def test_a_draw_without_a_usable_sample_is_left_out(small_model: Path, tmp_path: Path) -> None:
    """Draws take successive samples: one of them may meet the bad ones only."""
    root = small_run.make_data(tmp_path / "data")
    trees.mlvu_dev(root)
    content = config(small_model, root, tmp_path / "run", profile={"tasks": [small_run.REC], "samples": 2})
    content["evaluate"] |= {"draws": 3, "draw_limit": 1}
    content["cells"] = [{"patch": "ablate", "selections": ["random"], "fractions": [0.25]}]
    assert run(tmp_path, content) == 0
    counts = [cell["n"] for cell in read_jsonl(tmp_path / "run/cells.jsonl") if cell["cell"]["draw"] is not None]
    assert sorted(counts) == [0, 1, 1]
    dense, drawn = read_json(tmp_path / "run/leaderboard.json")["rows"]
    assert (dense["n"], dense["unscored"]) == (2, 1)
    assert (drawn["n"], drawn["draws"]) == (2, 2)
    baseline = tmp_path / "baseline.json"
    assert main(["check", str(tmp_path / "run"), "--baseline", str(baseline), "--update"]) == 0
    assert main(["check", str(tmp_path / "run"), "--baseline", str(baseline)]) == 0


def test_data_root_and_options_of_the_command_line(small_model: Path, tmp_path: Path) -> None:
    trees.mmlongbench_doc(tmp_path)
    doc = "coreheads_mmlongbench_doc"
    content = config(small_model, tmp_path / "nowhere", tmp_path / "run", cells=[])
    content["evaluate"] = {"tasks": [doc], "limit": 1, "split": "all"}
    assert run(tmp_path, content) == 2
    more = ["--data-root", str(tmp_path), "--set", f"options.{doc}.dpi=36", "--set", f"options.{doc}.max_pages=2"]
    assert run(tmp_path, content, *more) == 0
    (cell,) = read_jsonl(tmp_path / "run/cells.jsonl")
    assert cell["variant"] == "rules-3, up to 2 pages at 36 dpi"
    assert "f1" in cell["aggregates"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profile": {"tasks": [DEV]}}, "has no ground-truth regions (MLVU names neither times nor boxes)"),
        ({"evaluate": {"tasks": [DEV], "split": "val"}}, "split: 'val', coreheads_mlvu_dev has test"),
        ({"options": {DEV: {"frames": 8}}}, "options.frames: coreheads_mlvu_dev has no such option"),
        ({"options": {"mlvu": {}}}, "task: 'mlvu'"),
        (
            {
                "profile": {"tasks": ["coreheads_mmdocir_page"]},
                "evaluate": {"tasks": ["coreheads_mmdocir_page"], "split": "all"},
            },
            "splits profile and all share records",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = config(tmp_path / "no-model", tmp_path, tmp_path / "run", **changes)
    assert run(tmp_path, content) == 2
    assert message in capsys.readouterr().err
    assert run(tmp_path, content, "--dry-run") == 2


def test_profile_takes_real_data_and_counts_what_it_left_out(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.mmdocir(tmp_path, documents=8)
    out = tmp_path / "heads.json"
    arguments = ["profile", str(small_model), "--tasks", "coreheads_mmdocir_layout", "--data-root", str(tmp_path)]
    arguments += ["--split", "all", "--samples", "0", "--out", str(out), "--device", "cpu"]
    assert main([*arguments, "--option", "coreheads_mmdocir_layout.max_pages=4"]) == 0
    task = read_json(out)["tasks"]["coreheads_mmdocir_layout"]
    # the flat box: no recall is defined, so the layout task shows nothing
    assert task["n"] == 9
    assert task["skipped"] == {"media or record cannot be used": 1}
    assert main(["profile", str(small_model), "--tasks", DEV, "--out", str(out)]) == 2
    assert "no ground-truth regions" in capsys.readouterr().err
