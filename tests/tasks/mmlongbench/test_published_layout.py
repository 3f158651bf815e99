"""MMLongBench on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from task_prompts import pictures, words

from coreheads import limits
from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.tasks import registry


def test_mmlongbench_finds_gold_pages_by_file_name(tree: Callable[[str], Path]) -> None:
    """Pages count from 0, slides from 1, and pages of other documents that pad the context are not gold."""
    task = registry.get("coreheads_mmlongbench_8k")
    docs = {doc["subtask"]: doc for doc in task.records("all", data_root=tree("coreheads_mmlongbench_8k"))}
    for name in ("mmlongdoc", "longdocurl", "slidevqa"):
        assert task.regions(docs[name]) == [Region(media=2)]
    for name in ("retrieval-image", "counting-image", "reasoning-image"):
        assert task.regions(docs[name]) == [Region(media=1)]
        assert len(pictures(task, docs[name])) == 4
    assert task.regions(docs["infoseek"]) == []
    assert "Document deck, page 5:" in words(task, docs["slidevqa"])
    content = task.messages(docs["retrieval-image"])[0]["content"]
    assert [part["type"] for part in content][:4] == ["text", "image", "text", "image"]


def test_large_files_are_read_alike(tree: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.tasks.mmlongbench import data

    task, root = registry.get("coreheads_mmlongbench_8k"), tree("coreheads_mmlongbench_8k")
    docs = task.records("all", data_root=root)
    monkeypatch.setattr(data, "LARGE", 0)
    assert task.records("all", data_root=root) == docs


@pytest.mark.parametrize("bound", ["RECORDS_BYTES", "RECORD_BYTES"])
def test_files_and_lines_of_records_have_a_bound(
    tree: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    task, root = registry.get("coreheads_mmlongbench_8k"), tree("coreheads_mmlongbench_8k")
    monkeypatch.setattr(limits, bound, 100)
    with pytest.raises(UserError, match=r"\.jsonl: .*(bytes, expected at most 100|line has more than 100 bytes)"):
        task.records("all", data_root=root)


def test_mmlongbench_lengths_and_subtasks_are_options(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_mmlongbench"), tree("coreheads_mmlongbench_8k")
    options = {"lengths": [8], "subtasks": ["slidevqa", "viquae"]}
    assert {doc["subtask"] for doc in task.records("all", data_root=root, options=options)} == {"slidevqa", "viquae"}
    for wrong, message in (
        ({"lengths": [9]}, "9, expected"),
        ({"subtasks": ["vqa"]}, "'vqa'"),
        ({"length": 8}, "no such option"),
        ({"samples": "many"}, "'many', expected a whole number above 0 or null"),
        ({"samples": 0}, "0, expected a whole number above 0"),
        ({"subtasks": 3}, "3, expected a list of texts"),
    ):
        with pytest.raises(UserError, match=message):
            task.records("all", data_root=root, options=wrong)
