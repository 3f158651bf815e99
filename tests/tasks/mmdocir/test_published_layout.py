"""MMDocIR on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from set_scores import aggregate
from task_prompts import pictures
from trees import FAMILY

from coreheads.regions import Region
from coreheads.tasks import registry


def test_mmdocir_boxes_are_cut_and_flat_ones_left_out(tree: Callable[[str], Path]) -> None:
    root = tree("coreheads_mmdocir_layout")
    page, layout = registry.get("coreheads_mmdocir_page"), registry.get("coreheads_mmdocir_layout")
    docs = {doc["question"]: doc for doc in page.records("all", data_root=root, **FAMILY)}
    flat, beyond = docs["A flat box?"], docs["Beyond the page?"]
    assert page.regions(flat) == [Region(media=2)]
    assert page.regions(beyond) == [Region(media=2, box=(300 / 960, 10 / 640, 1.0, 1.0))]
    assert page.doc_scores(flat, "[3]")["recall_1"] == 1.0
    assert "no area" in page.problems(flat)[0]
    assert "leaves page 2" in page.problems(beyond)[0]
    unscored = aggregate(layout, layout.records("all", data_root=root, **FAMILY), ["[]"] * 10)
    assert unscored["unscored"] == 1.0


def test_mmdocir_counts_domains_alike(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmdocir_page")
    docs = task.records("all", data_root=tree("coreheads_mmdocir_page"))
    # domain 0 has 6 questions, domain 1 has 4: all of domain 0 right
    responses = ["[2, 4, 3]" if doc["domain"] == "Domain 0" else "[1]" for doc in docs]
    scores = aggregate(task, docs, responses)
    assert scores["recall_3"] == pytest.approx(6 / 10)
    assert scores["recall_3_macro"] == pytest.approx(0.5)


def test_pages_beyond_the_budget_are_neither_shown_nor_looked_for(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmdocir_page")
    docs = task.records("all", data_root=tree("coreheads_mmdocir_page"), options={"max_pages": 2})
    doc = next(doc for doc in docs if doc["pages"] == [1, 3])
    assert len(pictures(task, doc)) == 2
    assert {region.media for region in task.regions(doc)} == {1}
