"""RefCOCOg on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from task_prompts import words
from trees import FAMILY

from coreheads.errors import UserError
from coreheads.tasks import registry


def test_refcocog_profile_shows_no_image_of_the_test_set(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_refcocog"), tree("coreheads_refcocog")
    (doc,) = task.records("profile", data_root=root, **FAMILY)
    assert doc["expression"] == "sofa"
    assert {doc["expression"] for doc in task.records("val", data_root=root, **FAMILY)} == {
        "sofa",
        "in the test set, too",
    }
    assert task.split("val").overlaps(task.split("profile"))


@pytest.mark.parametrize(
    ("family", "answer", "part"),
    [
        ("qwen3_vl", '[{"bbox_2d": [83, 125, 500, 500]}]', "0 to 1000"),
        ("internvl", "[[83, 125, 500, 500]]", "<ref>the left cup</ref>"),
        ("llava_onevision", "[0.083, 0.125, 0.5, 0.5]", "from 0 to 1"),
    ],
)
def test_refcocog_asks_and_reads_as_the_family_does(
    family: str, answer: str, part: str, tree: Callable[[str], Path]
) -> None:
    task = registry.get("coreheads_refcocog")
    docs = task.records("test", data_root=tree("coreheads_refcocog"), family=family)
    (doc,) = [doc for doc in docs if doc["expression"] == "the left cup"]
    assert part in words(task, doc)
    assert task.doc_scores(doc, answer)["iou"] == pytest.approx(1.0, abs=0.02)
    assert task.doc_scores(doc, "[8, 8, 48, 32]")["acc_0.5"] == 0.0  # pixels are no family's convention


def test_a_family_must_be_known(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_refcocog")
    for family in (None, "qwen2_5_vl"):
        doc = task.records("test", 1, tree("coreheads_refcocog"), family=family)[0]
        with pytest.raises(UserError, match="family"):
            task.messages(doc)
