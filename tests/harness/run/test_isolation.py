"""Faults in single cells: memory that runs out, kernels that break, non-finite logits, empty answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import small_run
import torch

from coreheads.adapters.families.base import Adapter
from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages

Fault = Callable[[Sequence[Any], dict[str, Any]], None]
DENSE, TOP, HYBRID = "none", "ablate__top__0.25", "hybrid-sink=4-window=32__top__0.25"


def name(kind: str, task: str = small_run.REC) -> str:
    return f"small__{task}__{kind}"


@pytest.fixture
def start(small_model: Path, small_data: Path, tmp_path: Path) -> Callable[..., int]:
    content = small_run.config(small_model, small_data, tmp_path / "run")
    content["cells"] = [content["cells"][0], content["cells"][2]]
    content["evaluate"] |= {"limit": 4, "batch_size": 4}
    content["profile"]["samples"] = 2

    def run(*arguments: str, **changes: Any) -> int:
        path = small_run.write_config(tmp_path / "config.yaml", content | changes)
        return main(["run", str(path), "--quiet", *arguments])

    return run


def breaks(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, after: Callable[[list[Any]], list[Any]] | None = None
) -> None:
    """Have every generation meet the fault first, and change its answers afterwards."""
    generate = Adapter.generate

    def broken(self: Adapter, prompts: Sequence[Any], *arguments: Any, **settings: Any) -> list[Any]:
        fault(prompts, settings)
        found = generate(self, prompts, *arguments, **settings)
        return after(found) if after is not None else found

    monkeypatch.setattr(Adapter, "generate", broken)


def nothing(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
    return


def test_a_batch_that_does_not_fit_is_halved(
    start: Callable[..., int], finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def fault(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        sizes.append(len(prompts))
        if len(prompts) > 1 and not settings.get("timing"):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.\nMore words")

    breaks(monkeypatch, fault)
    assert start() == 0
    assert sizes[:7] == [4, 2, 1, 1, 1, 1, 1]  # the next cell begins with what fitted
    run = RunFolder.load(tmp_path / "run")
    assert len(run.cells()) == 6
    for record in run.cells():
        lines = list(read_jsonl(tmp_path / "run" / "samples" / f"{record}.jsonl"))
        assert len(lines) == 4
    whole = {row["cells"][0]: row["score"] for row in read_json(finished_run / "leaderboard.json")["rows"]}
    mine = {row["cells"][0]: row["score"] for row in read_json(tmp_path / "run" / "leaderboard.json")["rows"]}
    assert mine.items() <= whole.items()


def test_one_prompt_that_does_not_fit_fails_its_cell_only(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = 0

    def fault(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if 2 <= calls < 4:  # after the first batch of the dense cell, for two prompts and then for one
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patch:
        breaks(patch, fault)
        assert start("--set", "evaluate.batch_size=2", "--set", "timing.tasks=[]") == 1
    message = capsys.readouterr().err
    assert f"failed: {name(DENSE)}: no score: out of memory with one prompt of " in message
    assert " tokens\n" in message
    run = RunFolder.load(tmp_path / "run")
    failed = run.failures()
    assert set(failed) == {name(DENSE)}
    assert len(run.cells()) == 5
    answered = [line["record_id"] for line in read_jsonl(tmp_path / "run/samples" / f"{name(DENSE)}.jsonl")]
    assert len(answered) == 2
    rows = read_json(tmp_path / "run/leaderboard.json")["rows"]
    assert {row["delta"] for row in rows if row["task"] == small_run.REC} <= {None}
    assert any(row["delta"] is not None for row in rows if row["task"] == small_run.PAGE)
    # the same command tries again, and answers only what is missing
    assert start("--set", "evaluate.batch_size=2", "--set", "timing.tasks=[]") == 0
    lines = [line["record_id"] for line in read_jsonl(tmp_path / "run/samples" / f"{name(DENSE)}.jsonl")]
    assert lines[:2] == answered
    assert len(set(lines)) == len(lines) == 4
    assert not RunFolder.load(tmp_path / "run").failures()


def test_a_broken_kernel_fails_its_cells_with_a_traceback(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from coreheads.adapters.patches.hybrid import Hybrid

    def broken(self: Hybrid, model: Any) -> None:
        raise RuntimeError("kernel 7 broke\nat a place")

    with monkeypatch.context() as patch:
        patch.setattr(Hybrid, "__call__", broken)
        assert start() == 1
    run = RunFolder.load(tmp_path / "run")
    assert set(run.failures()) == {name(HYBRID), name(HYBRID, small_run.PAGE)}
    assert {record["failed"] for record in run.failures().values()} == {"RuntimeError: kernel 7 broke"}
    assert "kernel 7 broke" in capsys.readouterr().err
    text = (tmp_path / "run/errors" / f"{name(HYBRID)}.txt").read_text()
    assert text.startswith("Traceback")
    assert "in broken" in text
    assert not (run.path / "timings.jsonl").exists()
    assert start() == 0
    assert set(RunFolder.load(tmp_path / "run").timings()) == {name(HYBRID)}


def test_a_measurement_that_does_not_fit_leaves_the_scores(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = 0

    def fault(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        nonlocal timed
        if settings.get("timing"):
            timed += 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with monkeypatch.context() as patch:
        breaks(patch, fault)
        assert start() == 1
    assert timed == 1, "tried more than once"
    assert f"failed: {name(HYBRID)}: no speed: out of memory" in capsys.readouterr().err
    run = RunFolder.load(tmp_path / "run")
    assert not run.failures()
    assert [line["name"] for line in read_jsonl(run.path / "timings.jsonl") if "failed" in line] == [name(HYBRID)]
    assert not run.timings()
    assert all(row["prefill_speedup"] is None for row in read_json(tmp_path / "run/leaderboard.json")["rows"])
    assert start() == 0
    assert set(RunFolder.load(tmp_path / "run").timings()) == {name(HYBRID)}


@pytest.mark.parametrize("where", ["loading", "profiling"])
def test_a_model_that_does_not_fit_fails_its_cells_and_the_others_go_on(
    where: str, start: Callable[..., int], small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    from coreheads.retrieval import profiling

    first = True

    def once(original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **settings: Any) -> Any:
            nonlocal first
            if first:
                first = False
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return original(*arguments, **settings)

        return called

    if where == "loading":
        loader = transformers.AutoModelForImageTextToText
        monkeypatch.setattr(loader, "from_pretrained", once(loader.from_pretrained))
    else:
        monkeypatch.setattr(profiling, "score_task", once(profiling.score_task))
    models = [{"id": str(small_model), "name": "large"}, {"id": str(small_model), "name": "small"}]
    assert start("--set", "timing.tasks=[]", models=models) == 1
    run = RunFolder.load(tmp_path / "run")
    assert {record["cell"]["model"] for record in run.failures().values()} == {"large"}
    assert {record["cell"]["model"] for record in run.cells().values()} == {"small"}
    assert len(run.failures()) == len(run.cells()) == 6
    assert all("out of memory" in record["failed"] for record in run.failures().values())


def test_nothing_at_all_can_be_computed(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        raise MemoryError

    breaks(monkeypatch, fault)
    assert start("--set", "cells=[]", "--set", "profile.tasks=[]", "--set", "timing.tasks=[]") == 1
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]) == 2
    assert not (tmp_path / "run/leaderboard.json").exists()


def test_ctrl_c_and_wrong_input_are_not_swallowed(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        breaks(patch, fault)
        assert start() == 130
    assert not (tmp_path / "run/cells.jsonl").exists()


def test_answers_of_broken_logits_are_in_no_score_and_empty_ones_are_counted(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    def after(found: list[Any]) -> list[Any]:
        if len(found) == 4:
            found[1] = replace(found[1], text="2", broken_at=3)
            found[2] = replace(found[2], text=" \n")
        return found

    with monkeypatch.context() as patch:
        breaks(patch, nothing, after)
        assert start() == 0
    run = RunFolder.load(tmp_path / "run")
    for record in run.cells().values():
        assert (record["n"], record["unscored"], record["nonfinite"], record["over_context"]) == (3, 1, 1, 0)
        store = run.samples(record["name"])
        (broken,) = store.refused
        assert store.refused[broken] == "logits are not finite (token 3 of its answer)"
        assert record["unscored_example"].startswith(f"{broken}: logits are not finite")
        assert record["empty"] == 1
        assert store.samples[record["empty_example"]]["response"].strip() == ""
        assert store.samples[record["empty_example"]]["score"] == 0
        assert record["metrics"]["unscored"] == 1
    rows = read_json(tmp_path / "run/leaderboard.json")["rows"]
    assert {(row["nonfinite"], row["empty"], row["over_context"]) for row in rows} == {(1, 1, 0)}
    before = {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()}
    cells = (tmp_path / "run/cells.jsonl").read_bytes()

    def never(prompts: Sequence[Any], settings: dict[str, Any]) -> None:
        pytest.fail("a refusal of the model was asked again")

    with monkeypatch.context() as patch:
        breaks(patch, never)
        assert start() == 0
        assert (tmp_path / "run/cells.jsonl").read_bytes() == cells
        # an interrupted cell goes on without it, too
        (tmp_path / "run/cells.jsonl").unlink()
        assert start() == 0
    assert {path: path.read_bytes() for path in (tmp_path / "run/samples").iterdir()} == before
    assert all(record["unscored"] == 1 for record in RunFolder.load(tmp_path / "run").cells().values())


def test_a_model_of_broken_logits_only_has_failed_cells(
    start: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    breaks(monkeypatch, nothing, lambda found: [replace(one, broken_at=1) for one in found])
    assert start() == 1
    failures = RunFolder.load(tmp_path / "run").failures()
    assert len(failures) == 6
    assert all("logits are not finite" in record["failed"] for record in failures.values())
