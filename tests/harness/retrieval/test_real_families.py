"""Real tasks through every family's adapter: prompts are made, answers scored, heads found where there are regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import trees
from family_cases import FAMILIES, adapter

from coreheads.adapters.patches.registry import make_patch
from coreheads.config.cells import Cell
from coreheads.retrieval.profiling import profile_heads
from coreheads.run.evaluator import Evaluator
from coreheads.store.samples import SampleFile
from coreheads.tasks import registry

OPTIONS = {"coreheads_vidstg": {"frames": 4}, "coreheads_mmlongbench_doc": {"dpi": 36, "max_pages": 2}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for write in dict.fromkeys(trees.WRITERS.values()):
        write(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_task_is_answered_and_scored(family: str, root: Path, tmp_path: Path) -> None:
    evaluator = Evaluator(adapter(family), "test", str(root), 1, OPTIONS)
    for name in trees.WRITERS:
        # 64 answer tokens of a model with random weights would be most of the test's time
        evaluator.task(name).config.generation_kwargs["max_new_tokens"] = 2
        store = SampleFile(tmp_path / f"{name}.jsonl")
        cell = Cell("m", name, limit=3, within=3)
        result = evaluator.evaluate(cell, make_patch("none", frozenset()), store)
        assert result["n"] + result["unscored"] == len(store) <= 3
        assert result["n"] >= 1
        assert result["tokens_median"] > 50
        assert result["metrics"]["unscored"] == result["unscored"]


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_are_found_on_every_task_with_regions(family: str, root: Path) -> None:
    with_regions = [name for name in trees.WRITERS if not registry.get(name).no_regions]
    profile = profile_heads(
        adapter(family), with_regions, 2, split="test", data_root=root, options=OPTIONS, progress=False
    )
    assert set(profile.tasks) == set(with_regions)
    assert profile.mean.max() > 0
    assert all(record["n"] >= 1 for record in profile.tasks.values())
