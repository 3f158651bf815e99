"""A run's scores must agree with each other: what does not is told apart, and is no baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutations
import pytest
import small_run
from hypothesis import given
from hypothesis import strategies as st

from coreheads.check.baseline import Baseline, CellRecord, load_baseline
from coreheads.check.compare import check, compare
from coreheads.check.findings import NOT_KEPT
from coreheads.check.integrity import contradictions
from coreheads.cli import main
from coreheads.files import read_json, read_jsonl, write_json
from coreheads.leaderboard.published_run import copy
from coreheads.store.folder import RunFolder

HYBRID = "made-up__long_task__hybrid__top__0.25"
Line = dict[str, Any]


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    small_run.fake_run(tmp_path / "first")
    assert main(["check", str(tmp_path / "first"), "--baseline", str(tmp_path / "baseline.json"), "--update"]) == 0
    return tmp_path / "baseline.json"


def edit(path: Path, change: Callable[[Line], Line]) -> None:
    path.write_text("".join(json.dumps(change(line)) + "\n" for line in read_jsonl(path)))


def samples(run: RunFolder) -> Path:
    return run.path / "samples" / f"{HYBRID}.jsonl"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line | {"scores": {"accuracy": 0.5}},
        lambda line: line | {"scores": {"accuracy": 1 - line["score"], "f1": line["score"]}},
        lambda line: line | {"scores": {"f1": 1 - line["score"]}},
    ],
)
def test_a_score_that_is_not_among_its_own_scores(
    tmp_path: Path, baseline: Path, change: Callable[[Line], Line], capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    edit(samples(run), lambda line: change(line) if line["record_id"] == "r5" else line)
    (finding,) = check(run, load_baseline(baseline)).failed
    assert (finding.kind, finding.name) == ("scorer", HYBRID)
    assert finding.text.startswith(
        "a changed scorer: 1 of 20 samples have another score than stands in their own scores"
    )
    assert ", as r5: 1, " in finding.text
    before = baseline.read_bytes()
    assert main(["check", str(run.path), "--baseline", str(baseline), "--update"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{run.path}: {HYBRID}: a changed scorer: 1 of 20" in line
    assert baseline.read_bytes() == before


def test_a_cell_whose_score_is_not_that_of_its_samples(tmp_path: Path, baseline: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    edit(run.path / "cells.jsonl", lambda line: line | {"score": 0.95} if line["name"] == HYBRID else line)
    run = RunFolder.load(run.path)
    (finding,) = check(run, load_baseline(baseline)).failed
    assert (finding.kind, finding.name) == ("damaged", HYBRID)
    assert finding.text == "a damaged cell: cells.jsonl says 0.95, the scores of its 20 samples make 0.9"
    assert main(["check", str(run.path), "--baseline", str(tmp_path / "new.json"), "--update"]) == 2
    assert not (tmp_path / "new.json").exists()


def test_a_cell_whose_file_is_cut(tmp_path: Path, baseline: Path) -> None:
    """It is a damaged cell, not a run of other records."""
    run = small_run.fake_run(tmp_path / "run")
    samples(run).write_text("".join(samples(run).read_text().splitlines(keepends=True)[:-2]))
    found = check(run, load_baseline(baseline)).failed
    assert [finding.kind for finding in found] == ["damaged", "accuracy"]
    assert found[0].text == "a damaged cell: its file has 18 samples, cells.jsonl says that there are 20"
    assert "2 of 20 samples are missing" in found[1].text


def test_what_agrees_in_its_own_way(tmp_path: Path) -> None:
    """Means over groups; samples that a board's metric does not know; cells of versions that stored less; a cell that
    is being asked again."""
    run = small_run.fake_run(tmp_path / "run")

    def grouped(line: Line) -> Line:
        return line | {"group": "a" if line["record_id"] == "r3" else "b"}

    edit(samples(run), grouped)
    edit(run.path / "cells.jsonl", lambda line: line | {"metric": "m_avg", "score": 0.5 * 18 / 19 + 0.5 * 0.0})
    first = {finding.name for finding in contradictions(RunFolder.load(run.path))}
    edit(run.path / "cells.jsonl", lambda line: line | {"score": 0.5 * 18 / 19} if line["name"] == HYBRID else line)
    assert HYBRID not in first
    edit(samples(run), lambda line: {key: value for key, value in line.items() if key not in ("scores", "group")})
    edit(run.path / "cells.jsonl", lambda line: {key: value for key, value in line.items() if key != "score"})
    assert not list(contradictions(RunFolder.load(run.path)))
    edit(run.path / "cells.jsonl", lambda line: line | {"n": 17, "unscored": 3, "score": 0.1})
    assert not list(contradictions(RunFolder.load(run.path)))


@mutations.many
@given(place=st.integers(0, 19), value=st.floats(-2, 2), own=st.booleans())
def test_whichever_number_is_changed(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: float, own: bool
) -> None:
    """A score or its twin: one of the two checks must see it."""
    run = small_run.fake_run(tmp_path_factory.mktemp("integrity") / "run")
    lines = list(read_jsonl(samples(run)))
    moved = abs(lines[place]["score"] - value) > 1e-4
    lines[place] |= {"score": value} if own else {"scores": {"accuracy": value}}
    samples(run).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert {finding.name for finding in contradictions(run)} == ({HYBRID} if moved else set())


@pytest.mark.parametrize("older", [False, True])
def test_a_baseline_of_a_run_without_responses(tmp_path: Path, baseline: Path, older: bool) -> None:
    """Empty texts are not known to be the same answer: a flip is no changed scorer, and may be a near-tie."""
    run = small_run.fake_run(tmp_path / "run")
    copy(run, tmp_path / "published", responses=False)
    path = tmp_path / "without.json"
    assert main(["check", str(tmp_path / "published"), "--baseline", str(path), "--update"]) == 0
    content = read_json(path)
    answers = {answer for cell in content["cells"].values() for _, answer, _ in cell["samples"].values()}
    assert answers == {None}
    if older:
        for cell in content["cells"].values():
            cell["samples"] = {key: [score, "", margin] for key, (score, _, margin) in cell["samples"].items()}
        write_json(path, content)
    copy(small_run.fake_run(tmp_path / "flipped", drop={HYBRID: 3}), tmp_path / "other", responses=False)
    for name in ("flipped", "other"):
        report = check(RunFolder.load(tmp_path / name), load_baseline(path))
        assert {finding.kind for finding in report.failed} == {"accuracy"}
        assert report.worse[0].answer_before == NOT_KEPT
    assert not check(run, load_baseline(path)).failed
    assert {f.kind for f in check(RunFolder.load(tmp_path / "other"), load_baseline(baseline)).failed} == {"accuracy"}


def test_a_near_tie_of_an_answer_that_is_not_kept() -> None:
    def one(score: float) -> Baseline:
        cell = CellRecord(condition="c", metric="m", samples={"r": (score, None, 0.01)})
        return Baseline(cells={"c": cell})

    (change,) = compare(one(0.0), one(1.0)).worse
    assert change.near_tie
