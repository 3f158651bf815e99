"""The archives that are asked for are those that are published."""

from __future__ import annotations

import pytest

from coreheads.tasks.mmlongbench import task
from coreheads.tasks.mmlongbench.subtasks import SUBTASKS

PUBLISHED = {
    "0_mmlb_data",
    "1_vrag_image",
    "2_vh_image",
    "2_mm-niah_image",
    "3_icl_image",
    "4_summ_image",
    "5_docqa_image",
}
"""MMLongBench's, without .tar.gz."""


@pytest.mark.parametrize("name", SUBTASKS)
def test_mmlongbench_archives_are_published(name: str) -> None:
    assert SUBTASKS[name].images in PUBLISHED
    assert set(task.archives({"subtasks": [name]})) == {"0_mmlb_data", SUBTASKS[name].images}


def test_picture_needles_have_their_own_archive() -> None:
    assert {SUBTASKS[f"{kind}-image"].images for kind in ("retrieval", "counting", "reasoning")} == {"2_mm-niah_image"}
