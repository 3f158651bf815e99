"""What a plan foresees: from the run itself, from a run beside it, from the model's size alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, write_json
from coreheads.run.costs import FILE, Costs, Work
from coreheads.text import duration, gib


def plan(folder: Path, run: Path, capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    content = read_json(folder / "run" / "manifest.json")["config"] | {"out": str(run)} | changes
    assert main(["run", str(small_run.write_config(folder / "plan.yaml", content)), "--dry-run"]) == 0
    return capsys.readouterr().out


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path


def test_a_finished_run_has_nothing_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plan(folder, folder / "run", capsys)
    assert "nothing is left to do" in out
    assert f"Memory: small took {gib(Costs.load(folder / 'run').peak_bytes['small'])} (" in out  # type: ignore[union-attr]


def test_an_interrupted_run_is_foreseen_from_its_own_costs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (folder / "run" / "cells.jsonl").read_text().splitlines(keepends=True)
    (folder / "run" / "cells.jsonl").write_text("".join(lines[:4]))
    out = plan(folder, folder / "run", capsys)
    assert "by this run so far" in out
    assert "4 cells finished" in out
    known = Costs.load(folder / "run")
    assert known is not None
    # what is left besides loading: 3 answers of dense, ablate and hybrid each on the second task, and draws
    assert 0 < known.estimate({Work("answer", "small", small_run.PAGE, "ablate"): 100})[0] < 1000


def test_a_new_run_is_foreseen_from_the_newest_one_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plan(folder, folder / "new", capsys)
    assert f"by the run in {folder / 'run'}" in out
    assert "not counted" not in out
    assert not (folder / "new").exists()
    known = read_json(folder / "run" / FILE)
    write_json(folder / "run" / FILE, known | {"machine": "another one"})
    assert "No estimate of time" in plan(folder, folder / "new", capsys)
    # without timing the other run says nothing of it
    rest = [line for line in known["spent"] if line["kind"] != "time"]
    write_json(folder / "run" / FILE, known | {"spent": rest})
    assert f"never measured: time {small_run.REC}" in plan(folder, folder / "new", capsys)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema_version": 1, "machine": 1, "spent": [{}]}', "[" * 100_000]
)
def test_costs_that_cannot_be_read_stop_nothing(folder: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run" / FILE).write_text(content)
    out = plan(folder, folder / "new", capsys)
    assert "No estimate of time" in out
    assert "Memory: small needs at least" in out


def test_memory_of_a_model_in_its_own_dtype(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plan(folder, folder / "new", capsys, models=[{"id": "tiny", "name": "other", "dtype": "auto"}])
    assert "Memory: other needs at least" in out
    assert "for its weights in the checkpoint's own dtype" in out


def test_a_model_nobody_knows_has_no_estimate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = plan(folder, folder / "new", capsys, models=[{"id": "someone/something", "name": "other"}])
    assert "no estimate for other" in out


def test_rates_are_of_the_nearest_that_was_measured() -> None:
    costs = Costs()
    costs.add(Work("answer", "m", "t", "ablate"), 10.0, 5)
    costs.add(Work("answer", "m", "t", "hybrid"), 2.0, 4)
    assert costs.rate(Work("answer", "m", "t", "ablate")) == 2.0
    assert costs.rate(Work("answer", "m", "t", "none")) == pytest.approx(12 / 9)
    assert costs.rate(Work("answer", "m", "u", "none")) == pytest.approx(12 / 9)
    assert costs.rate(Work("answer", "other", "t", "ablate")) is None
    left = {Work("answer", "m", "t", "ablate"): 3, Work("load", "m"): 1, Work("time", "m", "t"): 0}
    assert costs.estimate(left) == (6.0, [Work("load", "m")])
    assert costs.with_live(Work("load", "m"), 2.0, 1).estimate(left) == (8.0, [])
    assert costs.with_live(Work("load", "m"), 2.0, 0).estimate(left)[1], "nothing is done yet"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.2, 89, 100, 3600, 7500)] == [
        "3 s",
        "89 s",
        "2 min",
        "60 min",
        "2 h 05 min",
    ]


def test_sizes() -> None:
    assert [gib(2**20 * size) for size in (1.24, 13.5, 758, 1024, 18_432)] == [
        "1.2 MiB",
        "14 MiB",
        "758 MiB",
        "1.0 GiB",
        "18.0 GiB",
    ]
