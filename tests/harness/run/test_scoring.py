"""A cell's answers: each is scored once, on disk with its score before the next batch, and lmms-eval gets the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.adapters.patches.registry import make_patch
from coreheads.config.cells import Cell
from coreheads.files import read_jsonl
from coreheads.run.evaluator import Evaluator
from coreheads.store.samples import SampleFile
from coreheads.tasks.task import Task

CELL = Cell("small", small_run.REC, limit=4, within=4)
DENSE = make_patch("none", frozenset())


@pytest.fixture(scope="module")
def evaluator(small_model: Path, small_data: Path) -> Evaluator:
    from coreheads.adapters.checkpoints.adapter import load_adapter

    return Evaluator(load_adapter(str(small_model)), "test", str(small_data), batch_size=2)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each record was scored."""
    count: Counter[str] = Counter()
    score = Task.doc_scores

    def counted(self: Task, doc: dict[str, Any], response: str) -> dict[str, float]:
        count[self.record_id(doc)] += 1
        return score(self, doc, response)

    monkeypatch.setattr(Task, "doc_scores", counted)
    return count


def test_a_sample_is_scored_once_and_a_stored_one_not_at_all(
    evaluator: Evaluator, scored: Counter[str], tmp_path: Path
) -> None:
    path = tmp_path / "cell.jsonl"
    result = evaluator.evaluate(CELL, DENSE, SampleFile(path))
    lines = list(read_jsonl(path))
    assert scored == {line["record_id"]: 1 for line in lines}
    assert len(lines) == result["n"] == 4
    for metric, value in result["metrics"].items():
        if metric != "unscored":
            assert value == sum(line["scores"][metric] for line in lines) / 4
    again = evaluator.evaluate(CELL, DENSE, SampleFile(path))
    assert scored == {line["record_id"]: 1 for line in lines}
    assert list(read_jsonl(path)) == lines
    assert again["metrics"] == result["metrics"]
    # another cell of the task is scored for itself
    evaluator.evaluate(CELL, DENSE, SampleFile(tmp_path / "other.jsonl"))
    assert set(scored.values()) == {2}


def test_lmms_eval_is_given_the_stored_scores(evaluator: Evaluator, tmp_path: Path) -> None:
    """A board and the samples below it agree, whatever another version would make of an answer."""
    store = SampleFile(tmp_path / "cell.jsonl")
    ids = evaluator.task(small_run.REC).ids
    for number, record in enumerate(ids[:4]):
        scores = {"acc_0.5": 1.0, "iou": number / 4, "unparsed": 0.0}
        store.add(record, "no box", 1.0, scores, 100)
    result = evaluator.evaluate(CELL, DENSE, store)
    assert result["metrics"] == {"acc_0.5": 1.0, "iou": 0.375, "unparsed": 0.0, "unscored": 0.0}


def test_a_batch_is_on_disk_with_its_scores_before_the_next_one(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cell.jsonl"
    generate, synced, seen = type(evaluator.model.adapter).generate, SampleFile.sync, []

    def sync(self: SampleFile) -> None:
        synced(self)
        seen.append("sync")

    def watched(self: Any, prompts: Any, **settings: Any) -> Any:
        seen.append([set(line) >= {"response", "score", "scores"} for line in read_jsonl(path)])
        return generate(self, prompts, **settings)

    monkeypatch.setattr(SampleFile, "sync", sync)
    monkeypatch.setattr(type(evaluator.model.adapter), "generate", watched)
    evaluator.evaluate(CELL, DENSE, SampleFile(path))
    assert seen == [[], "sync", [True, True], "sync"]


def test_progress_counts_every_sample_once(evaluator: Evaluator, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "cell.jsonl"
    evaluator.evaluate(CELL, DENSE, SampleFile(path), lambda count, tokens=0: told.append((count, tokens)))
    tokens = [line["prompt_tokens"] for line in read_jsonl(path)]
    assert told == [(0, 0), *((1, each) for each in tokens)]
    told.clear()
    evaluator.evaluate(CELL, DENSE, SampleFile(path), lambda count, tokens=0: told.append((count, tokens)))
    assert told == [(4, 0)]
