"""MMLongBench-Doc on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from task_prompts import pictures

from coreheads.regions import Region
from coreheads.tasks import registry


def test_mmlongbench_doc_shows_all_pages_and_skips_pages_that_are_not_there(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmlongbench_doc")
    docs = {doc["question"]: doc for doc in task.records("all", data_root=tree("coreheads_mmlongbench_doc"))}
    assert all(len(pictures(task, doc)) == 5 for doc in docs.values())
    assert task.regions(docs["How many?"]) == [Region(media=1)]
    assert task.regions(docs["What colour?"]) == []
    assert task.problems(docs["What colour?"]) == ["evidence_pages has [99] of 5 pages"]
    assert task.variant() == "rules-3, up to 120 pages at 144 dpi"
