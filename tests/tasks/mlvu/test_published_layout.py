"""MLVU on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from set_scores import aggregate
from task_prompts import words

from coreheads.tasks import registry


def test_mlvu_leaves_out_what_cannot_be_right(tree: Callable[[str], Path]) -> None:
    """An answer that is none of the options, as two published records have: counted, in no score."""
    task = registry.get("coreheads_mlvu_dev")
    docs = task.records(data_root=tree("coreheads_mlvu_dev"))
    assert len(docs) == 3
    scores = aggregate(task, docs, ["(B)", "(B)", "(C)"] if "bad" in docs[1] else ["(C)", "(B)", "(B)"])
    assert scores["unscored"] == 1.0
    assert scores["m_avg"] == 1.0
    assert (task.variant() or "").startswith("letters-2")
    assert scores["accuracy_plotQA"] == scores["accuracy_findNeedle"] == 1.0


def test_mlvu_test_has_six_options_and_joins_answers_by_id(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mlvu_test")
    docs = {doc["record_id"]: doc for doc in task.records(data_root=tree("coreheads_mlvu_test"))}
    assert docs["AR_0"]["answer"] == "Arson"
    assert docs["PQA_0"]["answer"] == "Blast"
    assert "(F) Arson" in words(task, docs["AR_0"])
    assert task.doc_scores(docs["AR_0"], "(F)")["accuracy"] == 1.0
    assert task.doc_scores(docs["AR_0"], "(A)")["accuracy"] == 0.0
