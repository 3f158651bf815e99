"""What a baseline judges and a run was not asked for is one line, and no regression of every cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.check.baseline import Baseline, load_baseline
from coreheads.check.compare import check, update
from coreheads.config.cells import expand
from coreheads.config.schema import RunConfig
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile


def run_of(path: Path, **changes: Any) -> RunFolder:
    """A finished run of the small configuration with some values changed; nothing is computed."""
    content = small_run.config(Path("made-up"), path, path) | changes
    config = RunConfig.model_validate(content)
    small_run.fake_run(path)
    small_run.change_manifest(RunFolder.load(path), config=config.model_dump(mode="json"))
    for name in ("cells.jsonl", "timings.jsonl"):
        (path / name).unlink()
    run = RunFolder.load(path)
    for cell in expand(config):
        store = SampleFile(path / "samples" / f"{cell.name}.jsonl")
        store.add("r1", "yes", 1.0, {"accuracy": 1.0}, 100, margin=2.0)
        run.finish_cell(cell, [], {"metric": "accuracy", "n": 1, "score": 1.0, "seconds": 1.0, "tokens_median": 100})
        if cell.timed and cell.task in config.timed_tasks():
            run.finish_timing([small_run.timing(cell, 2.0)])
    return run


CELLS: list[dict[str, Any]] = small_run.config(Path(), Path(), Path())["cells"]


@pytest.fixture
def baseline(tmp_path: Path) -> Baseline:
    update(run_of(tmp_path / "old"), tmp_path / "baseline.json")
    return load_baseline(tmp_path / "baseline.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cells": [CELLS[0] | {"fractions": [0.5]}, *CELLS[1:]]}, "answers of 2 cells, as small__"),
        ({"cells": CELLS[:2]}, "answers of 2 cells, as small__"),
        ({"cells": []}, "answers of 8 cells, as small__"),
        ({"cells": [*CELLS[:2], CELLS[2] | {"params": {"sink": 4, "window": 64}}]}, "answers of 2 cells, as small__"),
        ({"timing": {"tasks": []}}, f"speeds of 1 cells, as small__{small_run.REC}__hybrid"),
    ],
)
def test_what_was_not_asked_for_is_one_line(
    changes: dict[str, Any], said: str, baseline: Baseline, tmp_path: Path
) -> None:
    report = check(run_of(tmp_path / "now", **changes), baseline)
    (finding,) = report.findings
    assert (finding.kind, finding.ok) == ("settings", False)
    assert f"not asked for were {said}" in finding.text


def test_more_than_the_baseline_is_not_judged(baseline: Baseline, tmp_path: Path) -> None:
    more = [CELLS[0] | {"fractions": [0.25, 0.5]}, *CELLS[1:]]
    assert not check(run_of(tmp_path / "now", cells=more), baseline).failed


def test_what_was_asked_for_and_is_missing_is_a_regression(baseline: Baseline, tmp_path: Path) -> None:
    run = run_of(tmp_path / "now")
    lines = (run.path / "cells.jsonl").read_text().splitlines(keepends=True)
    (run.path / "cells.jsonl").write_text("".join(lines[:-1]))
    (finding,) = check(RunFolder.load(run.path), baseline).failed
    assert (finding.kind, finding.text) == ("accuracy", "the cell is missing")
