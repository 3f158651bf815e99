"""Every real task end to end on a small tree in the published layout: records, prompts, regions, scores, splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trees
from set_scores import aggregate
from task_prompts import pictures, usable, words
from trees import FAMILY, whole

from coreheads.errors import UserError
from coreheads.tasks import registry

NAMES = tuple(trees.WRITERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_scores_one_and_nonsense_nothing(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    docs = task.records(whole(name), data_root=tree(name), **FAMILY)
    assert len({task.record_id(doc) for doc in docs}) == len(docs)
    truth = [task.target(doc) if "bad" not in doc else "" for doc in docs]
    scores = aggregate(task, docs, truth)
    assert {*task.metrics, *task.aggregates, "unscored"} <= set(scores)
    if name == "coreheads_mmdocir_page":
        assert scores["recall_1"] == pytest.approx((8 * 0.5 + 2) / 10)  # two gold pages: the first alone is half
        assert scores["recall_3"] == 1.0
    elif name == "coreheads_mmdocir_layout":
        assert scores["layout_recall_10"] == pytest.approx(1.0, abs=0.03)
    else:
        assert scores[task.metric] == pytest.approx(1.0, abs=0.05)
    assert scores["unparsed"] == 0.0
    nothing = aggregate(task, docs, ["?"] * len(docs))
    assert nothing[task.metric] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_prompts_hold_the_query_and_every_region_lies_in_a_medium(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    for doc in usable(task.records(whole(name), data_root=tree(name), **FAMILY)):
        if name == "coreheads_mmdocir_layout" and doc["question"] == "A flat box?":
            continue  # is not scored, so not shown
        shown = pictures(task, doc)
        assert shown
        assert task.query(doc).strip() in words(task, doc)
        for region in task.regions(doc):
            region.check(len(shown))
            assert region.box is None or 0 <= min(region.box) <= max(region.box) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_apart_and_do_not_depend_on_what_else_is_there(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    root = tree(name)
    groups = {split: {doc["group"] for doc in task.records(split, data_root=root, **FAMILY)} for split in ("test",)}
    if task.no_regions:
        with pytest.raises(UserError, match="names neither times nor boxes"):
            task.records("profile", data_root=root)
        with pytest.raises(UserError, match="no ground-truth regions"):
            task.check_profile("test")
        return
    try:
        groups["profile"] = {doc["group"] for doc in task.records("profile", data_root=root, **FAMILY)}
    except UserError:
        groups["profile"] = set()  # two documents may both be on one side
    assert not groups["test"] & groups["profile"]
    assert not task.split("test").overlaps(task.split("profile"))
    again = {doc["group"] for doc in task.records("test", data_root=root, **FAMILY)}
    assert again == groups["test"]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_records_are_the_same_for_every_limit(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    root = tree(name)
    docs = task.records(whole(name), data_root=root, **FAMILY)
    assert task.records(whole(name), 2, root, **FAMILY) == docs[:2]


@pytest.mark.parametrize("name", NAMES)
def test_expected_lists_the_tree(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    before = task.expected("/nowhere")
    assert before
    assert not any(file.present for file in before)
    after = task.expected(tree(name))
    assert all(file.present for file in after if not file.what.startswith("optional"))
