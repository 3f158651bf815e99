"""The gate: green for the same run, red for what must not pass, and a clear line for what is not a baseline."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small_run
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.check.baseline import abbreviated, load_baseline
from coreheads.check.compare import check as compared
from coreheads.check.findings import Finding, Report
from coreheads.check.output import commands, write_junit
from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.files import write_json
from coreheads.store.folder import RunFolder
from coreheads.text import visible

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


def test_lost_samples_are_named_with_both_answers(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(small_run.fake_run(tmp_path / "run", drop={HYBRID: 2}), baseline) == 1
    out = capsys.readouterr().out
    assert "regression" in out
    assert "2 of 20 samples worse" in out
    lines = [line for line in out.splitlines() if "no | idea <b>" in line]
    assert len(lines) == 2
    assert all("</script><script>" in line and "1.00 -> 0.00" in line for line in lines)


def test_one_answer_that_tips_over_is_shown_and_passes(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 1})
    assert check(run, baseline) == 0
    out = capsys.readouterr().out
    assert "1 of 20 samples worse" in out
    assert "too few to tell from rounding" in out
    strict = json.loads(baseline.read_text())
    strict["tolerances"]["noise"] = 0
    write_json(tmp_path / "strict.json", strict)
    assert check(run, tmp_path / "strict.json") == 1


def test_a_missing_cell_and_missing_samples_are_regressions(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    record = run.cells()[DENSE]
    run.fail_cells([Cell.from_json(record["cell"])], "out of memory")
    assert check(run, baseline) == 1
    assert "the cell is missing: out of memory" in capsys.readouterr().out
    other = small_run.fake_run(tmp_path / "other")
    samples = other.path / "samples" / f"{HYBRID}.jsonl"
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:-1]))
    assert check(other, baseline) == 1


def test_a_patch_that_runs_dense_is_a_regression(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", speedup=1.0)
    assert {finding.kind for finding in compared(run, load_baseline(baseline)).failed} == {"speed"}
    assert check(run, baseline) == 1


def test_another_head_ranking_is_a_regression(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    small_run.profile([list(reversed(row)) for row in small_run.MEAN]).save(run.heads_path("made-up"))
    assert check(run, baseline) == 1
    run.heads_path("made-up").unlink()
    assert check(run, baseline) == 1


def test_tolerances_of_the_file_decide_and_survive_an_update(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 2}, speedup=1.9)
    mine = tmp_path / "baseline.json"
    content = json.loads(baseline.read_text())
    content["tolerances"]["cells"] = {"*__hybrid__top*": {"score_drop": 0.1}}
    write_json(mine, content)
    assert check(run, mine) == 0
    capsys.readouterr()
    assert check(run, mine, "--update") == 0
    shown = capsys.readouterr().out
    assert "2 of 20 samples worse" in shown
    assert "look at it before you commit" in shown
    new = load_baseline(mine)
    assert new.tolerances.cells["*__hybrid__top*"].score_drop == 0.1
    assert sum(score for score, _, _ in new.cells[HYBRID].samples.values()) == 16
    content = json.loads(mine.read_text())
    content["tolerances"]["speed_ratio"] = 0.999
    write_json(mine, content)
    assert check(small_run.fake_run(tmp_path / "slower", drop={HYBRID: 2}, speedup=1.7), mine) == 1


def test_a_baseline_is_made_to_be_read_as_a_diff(baseline: Path) -> None:
    """A sample is a line, and so is a layer of heads."""
    lines = baseline.read_text().splitlines()
    assert sum('"r0": [1.0, "</script><script>", 2.0]' in line for line in lines) > 5
    assert "[0.9, 0.1, 0.05, 0.01]" in "".join(lines)


@given(st.text(max_size=700), st.text(max_size=700))
def test_abbreviated_answers_differ_where_answers_do(one: str, other: str) -> None:
    assert (abbreviated(one) == abbreviated(other)) == (one == other)
    assert abbreviated(one + "x" * 400) != abbreviated(one + "x" * 399 + "y")
    assert len(abbreviated(one * 50)) < 360


def test_an_update_says_which_cells_come_and_go(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "baseline.json"
    content = json.loads(baseline.read_text())
    content["cells"]["gone"] = content["cells"].pop(HYBRID)
    write_json(mine, content)
    assert check(small_run.fake_run(tmp_path / "run"), mine, "--update") == 0
    shown = capsys.readouterr().out
    assert "The new baseline has no longer 1 cells: gone" in shown
    assert f"The new baseline also has 1 cells: {HYBRID}" in shown
    assert check(small_run.fake_run(tmp_path / "first"), tmp_path / "new.json", "--update") == 0
    assert "no report is written" in capsys.readouterr().out


def test_a_report_does_not_overwrite_the_baseline(tmp_path: Path, baseline: Path) -> None:
    before = baseline.read_bytes()
    assert check(small_run.fake_run(tmp_path / "run"), baseline, "--junit", str(baseline)) == 2
    assert baseline.read_bytes() == before


def test_a_run_without_its_samples_is_unusable(
    tmp_path: Path, baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    (run.path / "samples" / f"{DENSE}.jsonl").unlink()
    assert check(run, baseline) == 2
    assert "has no sample, cells.jsonl says that there are 20" in capsys.readouterr().err


def test_answers_cannot_steer_the_terminal() -> None:
    assert visible("a\x1b[2J\n::error::x\u202ey é 🎯") == "a\\x1b[2J\\n::error::x\\u202ey é 🎯"


def test_json_file(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 3})
    assert check(run, baseline, "--json", str(tmp_path / "check.json")) == 1
    found = json.loads((tmp_path / "check.json").read_text())
    assert found["ok"] is False
    assert len(found["worse"]) == 3
    assert found["worse"][0]["answer_now"] == "no | idea <b>"
    failed = [finding for finding in found["findings"] if not finding["ok"]]
    assert failed[0]["name"] == HYBRID
    assert failed[0]["before"] - failed[0]["now"] == pytest.approx(0.15)
    assert failed[0]["p"] == pytest.approx(0.25)


def test_github(
    tmp_path: Path, baseline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert check(small_run.fake_run(tmp_path / "run", drop={HYBRID: 2}), baseline, "--github") == 1
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error")]
    assert printed[0].startswith(f"::error title=accuracy {HYBRID}::0.900 -> 0.800")
    text = summary.read_text()
    assert text.startswith("an earlier step\n## coreheads check: ")
    assert "&lt;/script&gt;" in text
    assert "<script>" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert pipes == {8, 6}  # seven and five columns: a bar in an answer starts no other
    assert check(small_run.fake_run(tmp_path / "same"), baseline, "--github") == 0
    assert "::notice title=coreheads check::no regression" in capsys.readouterr().out
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert check(small_run.fake_run(tmp_path / "third"), baseline, "--github") == 0
    assert "GITHUB_STEP_SUMMARY is not set" in capsys.readouterr().err


def test_annotations_cannot_be_broken_out_of() -> None:
    finding = Finding("accuracy", "a,b::c\n::stop", 1.0, 0.0, False, "100 % worse\r\n::error::x")
    lines = commands(Report((finding,) * 20, ()))
    assert len(lines) == 10
    assert lines[0] == (
        "::error title=accuracy a%2Cb%3A%3Ac%0A%3A%3Astop::1.000 -> 0.000 (-1.000): 100 %25 worse%0D%0A::error::x"
    )
    assert "11 more regressions" in lines[-1]


def test_junit_file(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run", drop={HYBRID: 2})
    assert check(run, baseline, "--junit", str(tmp_path / "junit.xml")) == 1
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failures = suite.findall("testcase/failure")
    assert suite.get("failures") == str(len(failures)) != "0"
    assert int(str(suite.get("tests"))) == len(suite.findall("testcase"))
    assert "2 of 20 samples worse" in str(failures[0].get("message"))
    assert "'</script><script>' -> 'no | idea <b>'" in str(failures[0].text)


@settings(max_examples=50)
@given(st.text())
def test_junit_holds_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("junit") / "junit.xml"
    write_junit(path, Report((Finding("accuracy", text, 1.0, 0.0, False, text),), ()))
    assert ElementTree.parse(path).getroot().find("testcase/failure") is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cells": []}, "has no cells"),
        ({"cells": {}}, "cells is {}, expected"),
        ({"cells": {"x": {}}}, "cells.x.samples is missing"),
        ({"schema_version": 1}, "schema_version is 1, this version reads 2"),
        ({"heads": None}, "heads is None, expected"),
        ({"heads": {"m": {"mean": [[1, 2]], "ci_low": [[1]], "ci_high": [[1, 2]]}}}, "heads.m: mean, ci_low and"),
        ({"tolerances": {"score_drop": "much"}}, "tolerances.score_drop is 'much', expected a valid number"),
        ({"tolerances": {"alpha": 2}}, "tolerances.alpha is 2, expected less than or equal to 1"),
        ({"tolerances": {"scores": 1}}, "tolerances.scores is not a known field"),
        ({"tolerances": {"noise": float("nan")}}, "tolerances.noise is nan, expected a finite number"),
        ({"tolerances": {"cells": {"*_hybird_*": {"noise": 0.1}}}}, "tolerances.cells names '*_hybird_*', which no"),
        ({"tolerances": {"alpha": 0}}, "tolerances.alpha is 0, expected greater than 0"),
        ({"tolerances": {"cells": {"*": {"noise": True}}}}, "tolerances.cells.*.noise is True"),
    ],
)
def test_what_is_no_baseline_is_exit_2(
    tmp_path: Path, baseline: Path, change: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    (tmp_path / "baseline.json").write_text(json.dumps(json.loads(baseline.read_text()) | change))
    assert check(run, tmp_path / "baseline.json") == 2
    assert expected in capsys.readouterr().err


def test_unreadable_input_is_exit_2(tmp_path: Path, baseline: Path) -> None:
    (tmp_path / "text.json").write_text("{")
    run = small_run.fake_run(tmp_path / "run")
    assert check(run, tmp_path / "text.json") == 2
    assert check(run, tmp_path / "nothing.json") == 2
    assert main(["check", str(tmp_path / "nowhere"), "--baseline", str(baseline)]) == 2
