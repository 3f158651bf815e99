"""Several head scores in one run: what a configuration may say, and the cells that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import load_config
from coreheads.errors import UserError
from coreheads.report.columns import condition_label
from coreheads.run.preflight import check_names


def config(path: Path, cells: list[dict[str, Any]], **profile: Any) -> Any:
    tree = {
        "models": [{"id": "tiny"}],
        "profile": {"tasks": ["coreheads_mini_refcocog"], "samples": 2, **profile},
        "evaluate": {"tasks": ["coreheads_mini_mmdocir"], "draws": 1},
        "cells": cells,
    }
    (path / "run.yaml").write_text(yaml.safe_dump(tree))
    return load_config(path / "run.yaml")


def hybrid(*selections: str, **more: Any) -> dict[str, Any]:
    return {"patch": "hybrid", "selections": list(selections), "fractions": [0.1], **more}


def test_a_cell_names_the_score_that_picks_its_heads(tmp_path: Path) -> None:
    cells = [hybrid("top", "random"), hybrid("top", "layer_matched", score="qrhead"), hybrid("bottom", score="ram")]
    made = expand(config(tmp_path, cells, score=["ram", "qrhead"]))
    assert [(cell.selection, cell.head_score) for cell in made if cell.patch == "hybrid"] == [
        ("top", None),
        ("random", None),
        ("top", "qrhead"),
        ("layer_matched", "qrhead"),
        ("bottom", None),
    ]
    ram, other = (cell for cell in made if cell.selection == "top")
    assert ram.name == "tiny__coreheads_mini_mmdocir__hybrid__top__0.1"
    assert other.name == "tiny__coreheads_mini_mmdocir__hybrid__top-qrhead__0.1"
    assert ram.condition != other.condition
    assert condition_label(ram.to_json()) == "hybrid: top 10 % full"
    assert condition_label(other.to_json()) == "hybrid: top 10 % by qrhead full"
    assert Cell.from_json(other.to_json()) == other
    older = ram.to_json()
    del older["head_score"]
    assert Cell.from_json(older) == ram


def test_cells_that_name_no_score_go_by_the_first(tmp_path: Path) -> None:
    alone = config(tmp_path, [hybrid("top")], score="visual_hit")
    assert (alone.profile.scores, expand(alone)[1].head_score) == (("visual_hit",), "visual_hit")
    assert config(tmp_path, [hybrid("top")]).profile.scores == ("ram",)


@pytest.mark.parametrize(
    ("cells", "profile", "message"),
    [
        ([hybrid("top", score="qhead")], {"score": ["ram", "qrhead"]}, r"cells\.0\.score is 'qhead', .*'qrhead'"),
        ([hybrid("random", score="ram")], {}, "score is 'ram', but no selection goes by one"),
        ([], {"score": ["ram", "ram"]}, "ram, ram: a score is named twice"),
        ([], {"score": []}, r"profile\.score"),
        ([], {"score": 3}, r"profile\.score"),
        ([], {"score": "gradient"}, "score is 'gradient', expected one of ram"),
        ([], {"score": "qrhead", "normalization": "lift"}, "normalization is 'lift', expected none: score qrhead has"),
        ([], {"tasks": ["coreheads_mlvu_dev"], "split": "val"}, "no ground-truth regions .*RAM needs them"),
    ],
)
def test_what_does_not_fit_is_one_line(
    cells: list[dict[str, Any]], profile: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as error:
        check_names(config(tmp_path, cells, **profile))
    assert "\n" not in str(error.value)
