"""The gate: green for the same run, red for what must not pass, and a clear line for what is not a baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small_run

from coreheads.check import compare, load_baseline, make_baseline
from coreheads.cli import main
from coreheads.files import write_json
from coreheads.run_folder import RunFolder

HYBRID = "made-up__long_task__hybrid__top__0.25"
DENSE = "made-up__long_task__none"


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    small_run.fake_run(folder / "run")
    assert main(["check", str(folder / "run"), "--baseline", str(folder / "baseline.json"), "--update"]) == 0
    return folder / "baseline.json"


def check(run: RunFolder, baseline: Path, *more: str) -> int:
    return main(["check", str(run.path), "--baseline", str(baseline), *more])


def test_the_same_run_passes(tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small_run.fake_run(tmp_path / "run"), baseline) == 0
    assert "no regression" in capsys.readouterr().out


def test_lost_samples_are_named(tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small_run.fake_run(tmp_path / "run", drop={HYBRID: 2}), baseline) == 1
    out = capsys.readouterr().out
    assert "1 regressions" in out
    assert "2 of 20 samples worse" in out
    assert "r0, r1" in out


def test_one_answer_that_tips_over_is_shown_and_passes(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 1})
    assert check(run, baseline) == 0
    assert "1 of 20 samples worse" in capsys.readouterr().out
    strict = json.loads(baseline.read_text())
    strict["tolerances"]["flips"] = 0
    write_json(tmp_path / "strict.json", strict)
    assert check(run, tmp_path / "strict.json") == 1


def test_a_missing_cell_and_missing_samples_are_regressions(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    lines = (run.path / "cells.jsonl").read_text().splitlines(keepends=True)
    (run.path / "cells.jsonl").write_text("".join(line for line in lines if DENSE not in line))
    assert check(run, baseline) == 1
    other = small_run.fake_run(tmp_path / "other")
    samples = other.path / "samples" / f"{HYBRID}.jsonl"
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:-1]))
    assert check(other, baseline) == 1


def test_a_patch_that_runs_dense_is_a_regression(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", speedup=1.0)
    failed = [finding for finding in compare(run, load_baseline(baseline)) if not finding.ok]
    assert {finding.kind for finding in failed} == {"speed"}
    assert check(run, baseline) == 1


def test_another_head_ranking_is_a_regression(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    small_run.profile([list(reversed(row)) for row in small_run.MEAN]).save(run.heads_path("made-up"))
    assert check(run, baseline) == 1
    run.heads_path("made-up").unlink()
    assert check(run, baseline) == 1


def test_tolerances_of_the_file_decide_and_survive_an_update(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 2}, speedup=1.9)
    mine = tmp_path / "baseline.json"
    content = json.loads(baseline.read_text())
    content["tolerances"]["cells"] = {HYBRID: {"score_drop": 0.1}}
    write_json(mine, content)
    assert check(run, mine) == 0
    assert check(run, mine, "--update") == 0
    assert load_baseline(mine)["tolerances"] == content["tolerances"]
    assert sum(load_baseline(mine)["cells"][HYBRID]["scores"].values()) == 16
    content["tolerances"]["speed_ratio"] = 0.99
    write_json(mine, content)
    assert check(run, mine) == 1


def test_junit_file(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 2})
    assert check(run, baseline, "--junit", str(tmp_path / "junit.xml")) == 1
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failures = suite.findall("testcase/failure")
    assert suite.get("failures") == str(len(failures)) == "1"
    assert "2 of 20 samples worse" in str(failures[0].get("message"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cells": []}, "has no cells"),
        ({"cells": {"x": {}}}, "cells.x has no scores"),
        ({"schema_version": 9}, "schema_version is 9"),
        ({"speed": None}, "speed is None"),
        ({"tolerances": {"score_drop": "much"}}, "tolerances.score_drop is 'much'"),
        ({"tolerances": {"scores": 1}}, "tolerances.scores is 1"),
    ],
)
def test_what_is_no_baseline_is_exit_2(
    tmp_path: Path, baseline: Path, change: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    write_json(tmp_path / "baseline.json", json.loads(baseline.read_text()) | change)
    assert check(run, tmp_path / "baseline.json") == 2
    assert expected in capsys.readouterr().err


def test_unreadable_input_is_exit_2(tmp_path: Path, baseline: Path) -> None:
    (tmp_path / "text.json").write_text("{")
    run = small_run.fake_run(tmp_path / "run")
    assert check(run, tmp_path / "text.json") == 2
    assert check(run, tmp_path / "nothing.json") == 2
    assert main(["check", str(tmp_path / "nowhere"), "--baseline", str(baseline)]) == 2
    assert make_baseline(run)["cells"].keys() == load_baseline(baseline)["cells"].keys()
