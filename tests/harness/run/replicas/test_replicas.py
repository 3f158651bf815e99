"""Replicas of a model, here in one process: the board is that of a run without them, whichever of them are lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import small_run
from workers import HereWorkers

from coreheads.config.schema import load_config
from coreheads.environment import machine, versions
from coreheads.errors import UserError
from coreheads.files import read_json, write_json
from coreheads.leaderboard.build import build
from coreheads.run import runner
from coreheads.run.model import Finished, ModelRun
from coreheads.run.replicas import cluster as ray_cluster
from coreheads.run.replicas.driver import Replicas
from coreheads.run.replicas.news import About, Share
from coreheads.run.replicas.worker import Worker
from coreheads.store.board import Board
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages

Start = Callable[..., Finished]


@pytest.fixture
def start(small_model: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A run by two replicas in this process; gives what it came to."""

    def write(runs: Any, out: Path) -> Board:
        """Without the page and its pictures, which take longer than the run."""
        board = build(runs)
        write_json(out / "leaderboard.json", board)
        return board

    def started(workers: HereWorkers) -> Finished:
        @contextmanager
        def connected(address: str | None) -> Iterator[Any]:
            yield workers

        def run_on(cluster: Any, run: ModelRun, asked: int | None) -> None:
            Replicas(run, cluster, Share(1, 0), asked or 2).run()

        monkeypatch.setattr(ray_cluster, "check_installed", lambda: None)
        monkeypatch.setattr(ray_cluster, "connected", connected)
        monkeypatch.setattr(runner, "run_on", run_on)
        monkeypatch.setattr(runner.leaderboard, "write", write)
        content = small_run.config(small_model, small_data, tmp_path / "run")
        path = small_run.write_config(tmp_path / "config.yaml", content)
        return runner.run(load_config(path), shown=False, ray=True)

    return started


def without_names(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "device"} for row in rows]


def files(folder: Path) -> set[str]:
    """All but the board's."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(("leaderboard.", "answers/")) and not name.endswith(".png")}


def check_equal(run: Path, whole: Path) -> None:
    """Answers, scores, margins and rows are those of one process; rows name cells in the configuration's order."""
    assert small_run.answers(run) == small_run.answers(whole)
    assert without_names(small_run.rows_without_times(run)) == without_names(small_run.rows_without_times(whole))
    assert files(run) == files(whole)


def test_the_board_is_that_of_one_process(start: Start, finished_run: Path, tmp_path: Path) -> None:
    workers = HereWorkers()
    assert start(workers).complete
    check_equal(tmp_path / "run", finished_run)
    # two for the cells, one with a machine to itself for the times, after all cells
    assert workers.started == [Share(1, 0), Share(1, 0), Share(2, 0, "here")]
    jobs = [what for _, what, _ in workers.jobs]
    assert jobs.index("time") > max(place for place, what in enumerate(jobs) if what == "evaluate")
    assert [number for number, what, _ in workers.jobs if what == "time"] == [3]
    for number in (1, 2):
        tasks = [names[0].split("__")[1] for own, what, names in workers.jobs if (own, what) == (number, "evaluate")]
        switches = sum(before != after for before, after in pairwise(tasks))
        assert switches == len(set(tasks)) - 1, "a task's prompts were prepared twice"
    session = read_json(tmp_path / "run/manifest.json")["invocations"][-1]
    assert session["replicas"] == 2
    # started again, nothing is computed, and the board says what it said
    before = read_json(tmp_path / "run/leaderboard.json")["rows"]
    idle = HereWorkers()
    assert start(idle).complete
    assert not idle.started
    assert read_json(tmp_path / "run/leaderboard.json")["rows"] == before


@pytest.mark.parametrize("seed", range(2))
def test_lost_workers_lose_and_double_nothing(start: Start, finished_run: Path, tmp_path: Path, seed: int) -> None:
    draws = random.Random(seed)
    lost: list[str] = []

    workers = HereWorkers(lambda number, what: what != "time" and draws.random() < 0.06 and not lost.append(what))
    assert start(workers).complete
    assert len(lost) >= 2
    check_equal(tmp_path / "run", finished_run)


def test_the_first_news_of_every_job_is_lost_twice(start: Start, finished_run: Path, tmp_path: Path) -> None:
    left = ["load", "prepare", "evaluate", "time"] * 2
    assert start(HereWorkers(lambda number, what: what in left and not left.remove(what))).complete
    assert not left
    check_equal(tmp_path / "run", finished_run)


def test_a_cell_over_which_workers_are_lost_fails_and_the_others_go_on(
    start: Start, finished_run: Path, tmp_path: Path
) -> None:
    workers = HereWorkers()
    poison = next(iter(RunFolder.load(finished_run).cells()))
    workers.fault = lambda number, what: what == "evaluate" and workers.job[1][0] == poison
    finished = start(workers)
    assert finished.failed == {poison: "3 workers were lost over it without a new answer: killed"}
    run = RunFolder.load(tmp_path / "run")
    assert set(run.failures()) == {poison}
    assert len(run.cells()) == 9
    assert sum(names == [poison] for _, _, names in workers.jobs) == 3
    # tried again by the same command
    assert start(HereWorkers()).complete
    check_equal(tmp_path / "run", finished_run)


def test_no_worker_ever_starts(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished = start(HereWorkers(lambda number, what: what == "load"))
    assert finished.board is None
    assert len(finished.failed) == 10
    assert set(finished.failed.values()) == {"killed"}
    assert capsys.readouterr().err.count("is given up: killed") == 2


def test_without_memory_a_cell_fails_by_its_reason(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coreheads.adapters.families.base import Adapter

    generate = Adapter.generate

    def generated(self: Any, prompts: Any, **settings: Any) -> Any:
        if len(prompts) == 1 or prompts[0].tokens > 300:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return generate(self, prompts, **settings)

    monkeypatch.setattr(Adapter, "generate", generated)
    finished = start(HereWorkers())
    run = RunFolder.load(tmp_path / "run")
    assert {record["cell"]["task"] for record in run.failures().values()} == {small_run.PAGE}
    assert all("out of memory with one prompt" in reason for reason in finished.failed.values())
    assert {record["cell"]["task"] for record in run.cells().values()} == {small_run.REC}


def test_a_fault_of_a_worker_is_kept_whole(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.run.evaluator import Evaluator

    evaluate = Evaluator.evaluate

    def evaluated(self: Any, cell: Any, *given: Any, **named: Any) -> Any:
        if cell.patch == "hybrid":
            raise ZeroDivisionError("by nothing")
        return evaluate(self, cell, *given, **named)

    monkeypatch.setattr(Evaluator, "evaluate", evaluated)
    finished = start(HereWorkers())
    assert len(finished.failed) == 2
    for name, reason in finished.failed.items():
        assert reason == "ZeroDivisionError: by nothing"
        assert "Traceback" in (tmp_path / f"run/errors/{name}.txt").read_text()


def test_wrong_input_that_a_worker_finds_ends_the_run(
    start: Start, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coreheads.run.evaluator import Evaluator

    def task(self: Any, name: str) -> Any:
        raise UserError(f"task {name}: no such file")

    monkeypatch.setattr(Evaluator, "task", task)
    with pytest.raises(UserError, match=r"^task coreheads_mini_\w+: no such file$"):
        start(HereWorkers())


def test_what_a_worker_with_other_code_would_answer_is_not_asked(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "_about", lambda self: About("far", 1, "0" * 64, versions(), machine("cpu"), None))
    with pytest.raises(UserError, match="far has other code of coreheads than this machine; expected the same"):
        start(HereWorkers())
    assert not (tmp_path / "run/cells.jsonl").exists()


def test_replicas_have_one_checkpoint(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.run import sources

    known, calls = sources.model_sources, iter(range(100))
    monkeypatch.setattr(sources, "model_sources", lambda model: {**known(model), "weights": f"{next(calls) // 2}"})
    with pytest.raises(UserError, match=r"has other weights of model small \(.*\) than .*; expected one checkpoint$"):
        start(HereWorkers())
