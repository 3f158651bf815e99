"""Several runs on one board: every number stays its own run's, the newer cell counts, nothing is dropped silently."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_run
from small_run import change_manifest, on

from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.files import read_json, write_json
from coreheads.leaderboard import gaps
from coreheads.leaderboard.build import build
from coreheads.leaderboard.merge import labels
from coreheads.leaderboard.rows import build_rows
from coreheads.report.markdown import to_markdown
from coreheads.report.pareto import by_axis
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def two(folder: Path, **changes: Any) -> list[RunFolder]:
    """An older run (speedup 2) and a newer one (speedup 3) of the same machine."""
    older, newer = small_run.fake_run(folder / "older", 2), small_run.fake_run(folder / "newer", 3)
    return [older, change_manifest(newer, started="2026-02-02T00:00:00+00:00", **changes)]


def keep(run: RunFolder, *wanted: tuple[str, str | None]) -> RunFolder:
    """Only the cells with these patches and selections, as an interrupted run has them."""
    for name in ("cells.jsonl", "timings.jsonl"):
        lines = [json.loads(line) for line in (run.path / name).open()]
        lines = [line for line in lines if (line["cell"]["patch"], line["cell"]["selection"]) in wanted]
        (run.path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def speeds(board: dict[str, Any]) -> list[tuple[str, float]]:
    rows = [row for row in board["rows"] if row["patch"] == "hybrid" and row["prefill_speedup"]]
    return [(row["run"], round(row["prefill_speedup"], 6)) for row in rows if row["task"] == "long_task"]


def test_runs_of_two_machines_keep_all_rows_and_their_own_numbers(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    alone = {run.path.name: build_rows(run) for run in (first, on(second, "another CPU"))}
    board = build([first, RunFolder.load(second.path)])
    assert speeds(board) == [("older", 2.0), ("newer", 3.0)]
    for name, rows in alone.items():
        mine = [row for row in board["rows"] if row["run"] == name]
        assert mine == rows
    assert board["left_out"] == []
    assert to_markdown(json.loads(json.dumps(board))).count("## made-up on long_task") == 2


def test_of_one_machine_the_newer_row_counts(tmp_path: Path) -> None:
    for order in (1, -1):
        board = build(two(tmp_path / str(order))[::order])
        assert speeds(board) == [("newer", 3.0)]
        assert len(board["rows"]) == 10
        assert {row["run"] for row in board["rows"]} == {"newer"}
        assert len(board["left_out"]) == 10
        assert board["left_out"][0] == {
            "run": "older",
            "what": "made-up on short | task: dense (the model as it is)",
            "reason": "run newer is newer and has it",
        }


def test_a_speed_is_not_replaced_by_a_row_without_one(tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    (newer.path / "timings.jsonl").write_text("")
    board = build([older, RunFolder.load(newer.path)])
    assert speeds(board) == [("older", 2.0)]
    assert not any("hybrid: top" in entry["what"] and entry["run"] == "older" for entry in board["left_out"])


def test_other_heads_of_the_same_rule_are_another_cell(tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    lines = [json.loads(line) for line in (newer.path / "cells.jsonl").open()]
    for line in lines:
        line["heads"] = [[0, 3]] if line["heads"] else []
    (newer.path / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = build([older, newer])["rows"]
    found = {(row["run"], row["patch"], row["selection"]) for row in rows}
    assert {("older", "hybrid", "top"), ("newer", "hybrid", "top")} <= found


def test_machines_of_one_device_name_do_not_share_a_plot(tmp_path: Path) -> None:
    older, newer = two(tmp_path, config={"evaluate": {"split": "val"}})
    board = build([older, newer])
    assert {row["run"] for row in board["rows"]} == {"older", "newer"}
    assert all(len({row["run"] for row in rows}) == 1 for rows in by_axis(board["rows"]).values())


def test_a_dense_row_stays_beside_the_rows_that_refer_to_it(tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    board = build([older, keep(newer, ("none", None), ("ablate", "top"))])
    rows = {(row["run"], row["patch"], row["selection"]) for row in board["rows"]}
    assert rows == {
        ("newer", "none", None), ("newer", "ablate", "top"), ("older", "none", None),
        ("older", "ablate", "random"), ("older", "hybrid", "top"), ("older", "hybrid", "none"),
    }  # fmt: skip
    assert speeds(board) == [("older", 2.0)]
    assert {entry["what"].partition(": ")[2] for entry in board["left_out"]} == {"ablate: top 25 % off"}


@pytest.mark.parametrize(
    "config",
    [
        {"evaluate": {"split": "val"}},
        {"options": {"long_task": {"dpi": 72}, "short | task": {"dpi": 72}}},
        {"models": [{"id": "made-up", "name": "made-up", "dtype": "bfloat16"}]},
    ],
)
def test_other_settings_are_other_cells(tmp_path: Path, config: dict[str, Any]) -> None:
    assert len(build(two(tmp_path, config=config))["rows"]) == 20


@pytest.mark.parametrize("change", [{"metric": "iou"}, {"variant": "an extractor"}, {"within": 5}])
def test_other_measures_are_other_cells(tmp_path: Path, change: dict[str, Any]) -> None:
    older, newer = two(tmp_path)
    lines = [json.loads(line) for line in (newer.path / "cells.jsonl").open()]
    for line in lines:
        (line["cell"] if "within" in change else line).update(change)
    (newer.path / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    board = build([older, newer])
    assert len(board["rows"]) == 20
    assert board["left_out"] == []


def test_one_name_for_two_checkpoints_is_told_apart(tmp_path: Path) -> None:
    older, newer = two(tmp_path, config={"models": [{"id": "someone/else", "name": "made-up"}]})
    profile = small_run.profile()
    identity: Any = {**profile.model, "id": "someone/else", "revision": "abc"}
    type(profile)(model=identity, mean=profile.mean, ci_low=profile.mean, ci_high=profile.mean).save(
        newer.heads_path("made-up")
    )
    board = build([older, newer])
    assert len(board["rows"]) == 20
    names = ["made-up (made-up)", "made-up (someone/else, abc)"]
    assert list(dict.fromkeys(row["model"] for row in board["rows"])) == names
    assert [summary["model"] for summary in board["heads"]] == names
    assert board["remarks"] == [
        "Runs call different checkpoints made-up; they are told apart as " + " and ".join(names) + "."
    ]
    assert speeds(board) == [("older", 2.0), ("newer", 3.0)]


def test_a_checkpoint_at_home_is_one(tmp_path: Path) -> None:
    """A profile names it by ~, a configuration by its whole path."""
    folder = f"{Path.home()}/models/made-up"
    older, newer = two(tmp_path, config={"models": [{"id": folder, "name": "made-up"}]})
    profile = small_run.profile()
    small_run.change_manifest(newer, config={"models": [{"id": folder, "name": "made-up", "heads": "heads.json"}]})
    profile.model["id"] = "~/models/made-up"
    profile.save(older.heads_path("made-up"))
    assert {row["model"] for row in build([RunFolder.load(run.path) for run in (older, newer)])["rows"]} == {"made-up"}


@pytest.mark.parametrize(
    ("revisions", "names"), [([None, "a"], 1), (["a", "a"], 1), (["a", "b"], 2), ([None, "a", "b"], 3)]
)
def test_an_unknown_revision_may_be_any_but_two_known_ones_are_two(
    tmp_path: Path, revisions: list[str | None], names: int
) -> None:
    runs = []
    for place, revision in enumerate(revisions):
        run = small_run.fake_run(tmp_path / str(place))
        run.heads_path("made-up").unlink()
        runs.append(change_manifest(run, config={"models": [{"id": "x/y", "name": "made-up", "revision": revision}]}))
    board = build(runs)
    assert len({row["model"] for row in board["rows"]}) == names
    assert len(board["remarks"]) == (names > 1)


def test_folders_of_one_name_get_distinct_labels(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "runs" / "x", tmp_path / "b" / "runs" / "x", tmp_path / "a" / "runs" / "y"]
    runs = [small_run.fake_run(path) for path in paths]
    assert labels(runs) == ["a/runs/x", "b/runs/x", "y"]
    assert main(["leaderboard", *map(str, paths), "--out", str(tmp_path / "board")]) == 0
    board = read_json(tmp_path / "board" / "leaderboard.json")
    assert [run["name"] for run in board["runs"]] == labels(runs)
    (tmp_path / "link").symlink_to(paths[0])
    with pytest.raises(UserError, match="is given twice"):
        build([runs[0], RunFolder.load(tmp_path / "link")])


def test_what_could_not_be_computed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    record = next(iter(run.cells().values()))
    for draw in range(2):
        cell = Cell("made-up", "long_task", "ablate", selection="random", fraction=0.5, draw=draw, seed=draw)
        run.fail_cells([cell], "out of memory at 9 <b> tokens")
    empty = Cell("made-up", "long_task", "ablate", selection="bottom", fraction=0.5)
    run.finish_cell(empty, record["heads"], {"metric": "accuracy", "n": 0, "score": None})
    lone = Cell("made-up", "long_task", "hybrid", selection="top", fraction=0.25, timed=True)
    other = {**small_run.timing(lone, 4.0), "device": "another CPU"}
    more = Cell("made-up", "long_task", "hybrid", selection="top", fraction=0.5, timed=True)
    run.finish_timing([{**other, "name": more.name, "cell": more.to_json()}])
    assert main(["leaderboard", str(run.path), "--out", str(tmp_path / "board")]) == 0
    printed = capsys.readouterr().out
    board = read_json(tmp_path / "board" / "leaderboard.json")
    assert board["failed"] == [
        {
            "run": "run",
            "model": "made-up",
            "task": "long_task",
            "what": "ablate: random 50 % off (2 draws)",
            "reason": "out of memory at 9 <b> tokens",
        }
    ]
    reasons = {entry["what"]: entry["reason"] for entry in board["left_out"]}
    assert reasons == {
        "made-up on long_task: ablate: random 50 % off (2 draws)": "failed: out of memory at 9 <b> tokens",
        "made-up on long_task: ablate: bottom 50 % off": gaps.NOTHING_SCORED,
        "made-up on long_task: hybrid: top 25 % full": gaps.NO_DENSE,
    }
    assert all(f"Left out: {what} (run run): {reason}" in printed for what, reason in reasons.items())
    assert all(row["fraction"] != 0.5 for row in board["rows"])
    for name, reason in (("leaderboard.md", "9 &lt;b&gt; tokens"), ("leaderboard.html", "9 &lt;b&gt; tokens")):
        text = (tmp_path / "board" / name).read_text()
        assert f"out of memory at {reason}" in text
        assert "Failed" in text
        assert "Left out" in text


def test_a_run_of_which_all_cells_failed_has_a_board(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    run.fail_cells([Cell.from_json(record["cell"]) for record in run.cells().values()], "out of memory")
    assert main(["leaderboard", str(run.path), "--out", str(tmp_path / "board")]) == 0
    board = read_json(tmp_path / "board" / "leaderboard.json")
    assert board["rows"] == []
    assert len(board["failed"]) == 2 * 5
    assert (tmp_path / "board" / "leaderboard.csv").read_text().strip() == ""


def test_cells_that_were_asked_for_and_are_not_there_are_listed(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    assert build([RunFolder.load(finished_run)])["left_out"] == []
    for name in ("cells.jsonl", "timings.jsonl"):
        lines = (tmp_path / "run" / name).read_text().splitlines(keepends=True)
        (tmp_path / "run" / name).write_text("".join(lines[:-1]))
    run = RunFolder.load(tmp_path / "run")
    assert RunConfig.model_validate(run.config).timed_tasks() == (small_run.REC,)
    entries = build([run])["left_out"]
    assert entries == [
        {"run": "run", "what": f"small on {small_run.REC}: hybrid: top 25 % full", "reason": gaps.UNTIMED},
        {"run": "run", "what": f"small on {small_run.PAGE}: hybrid: top 25 % full", "reason": gaps.UNFINISHED},
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m["config"].pop("models"), "config.models is missing, expected a manifest"),
        (lambda m: m["config"].update(models=[{"id": 3, "name": "x"}]), "config.models.0.id is 3, expected"),
        (lambda m: m["config"].update(models=["x"]), "config.models.0 is 'x', expected"),
        (lambda m: m["invocations"][0].pop("started"), "invocations.0.started is missing, expected a manifest"),
        (lambda m: m["invocations"][0].update(machine=None), "invocations.0.machine is None, expected"),
        (
            lambda m: m["invocations"][0]["machine"].pop("name"),
            "invocations.0.machine.name is missing, expected a manifest",
        ),
        (lambda m: m.update(invocations=["x"]), "invocations.0 is 'x', expected"),
    ],
)
@pytest.mark.parametrize("command", ["leaderboard", "publish"])
def test_a_damaged_manifest_is_one_line(
    tmp_path: Path, command: str, change: Any, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run.fake_run(tmp_path / "run")
    manifest = read_json(run.path / "manifest.json")
    change(manifest)
    write_json(run.path / "manifest.json", manifest)
    to = "--out" if command == "leaderboard" else "--to"
    assert main([command, str(run.path), to, str(tmp_path / "board")]) == 2
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert f"manifest.json: {fault}" in message
    assert not (tmp_path / "board").exists()
