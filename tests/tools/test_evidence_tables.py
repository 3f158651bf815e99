"""Tokens that ask and statistics of the method's open choices, on prompts and scores whose answers are known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def _loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables() -> Any:
    _loaded("evidence_judged")
    return _loaded("evidence_tables")


def measured(tables: Any, prompts: int, noise: float = 0.0, seed: int = 0) -> Any:
    """4 layers of 10 heads, each choice the same: head 7 of layer 2 leads, 3 others follow, the rest is noise."""
    rng = np.random.default_rng(seed)
    kept = tables.Measured()
    for number in range(prompts):
        target = noise * rng.random((4, 10))
        target[2, 7] += 0.8
        target[1, :3] += (0.4, 0.3, 0.2)
        kept.add(f"r{number}", {name: np.stack([target, 2 * target]) for name in tables.QUERIES}, (8, 400, 450))
    return kept


def test_concentration_is_the_share_of_the_leading_heads(tables: Any) -> None:
    scores = np.zeros((4, 10))
    scores[0, 3], scores[3, 1], scores[1, 1] = 6.0, 3.0, 1.0
    assert tables.concentration(scores, 0.025) == pytest.approx(0.6)
    assert tables.concentration(scores, 0.05) == pytest.approx(0.9)
    assert tables.concentration(np.ones((4, 10)), 0.1) == pytest.approx(0.1)


def test_overlap_counts_heads_that_lead_both(tables: Any) -> None:
    scores = np.arange(40.0).reshape(4, 10)
    moved = scores.copy()
    moved[0, 0] = 100.0  # takes the place of the last of the leading four
    assert tables.overlap(scores, scores, 0.1) == 1.0
    assert tables.overlap(scores, moved, 0.1) == 0.75
    assert tables.overlap(scores, -scores, 0.1) == 0.0


def test_halves_agree_better_with_more_samples_and_noise_by_chance_only(tables: Any) -> None:
    rng = np.random.default_rng(0)
    truth = np.linspace(0, 1, 200)
    samples = truth + rng.normal(0, 0.5, (80, 200))
    few, some, many = (tables.half_overlap(samples, half, 0.1) for half in (2, 10, 40))
    assert few < some < many
    noise = rng.normal(size=(80, 200))
    assert tables.half_overlap(noise, 10, 0.1) == pytest.approx(0.1, abs=0.05)
    assert tables.half_overlap(samples, 10, 0.1) == some
    with pytest.raises(ValueError, match="two halves of 41 from 80"):
        tables.half_overlap(samples, 41, 0.1)


def test_halves_are_disjoint(tables: Any) -> None:
    # Each sample has a leading head of its own: halves that shared a sample would agree.
    assert tables.half_overlap(np.eye(40), 20, 0.5) == 0.0


def test_depth_runs_from_the_first_layer_to_the_last(tables: Any) -> None:
    scores = np.zeros((5, 8))
    scores[4, 2], scores[0, 1] = 2.0, 1.0
    assert tables.depths(scores, 0.05).tolist() == [0.0, 1.0]


def test_normalizations_divide_by_vision_and_by_the_share_of_tokens(tables: Any) -> None:
    kept = measured(tables, 2)
    assert kept.scores("name")[0, 2, 7] == pytest.approx(0.8)
    assert kept.scores("name", "lift")[1, 2, 7] == pytest.approx(0.8 * 50)
    shares = kept.scores("name", "vision")
    assert shares[0, 2, 7] == pytest.approx(0.5)
    assert shares[0, 3, 3] == 0.0  # nothing goes to vision


def test_what_is_kept_reads_back(tables: Any, tmp_path: Path) -> None:
    kept = measured(tables, 3, noise=0.1)
    kept.about = {"command": "evidence.py"}
    kept.save(tmp_path / "sets" / "doc_450.npz")
    again = tables.Measured.load(tmp_path / "sets" / "doc_450.npz")
    assert again.records == ["r0", "r1", "r2"]
    assert again.about == kept.about
    assert again.sizes.tolist() == [[8, 400, 450]] * 3
    assert all((again.mass[name] == values).all() for name, values in kept.mass.items())
    again.add("r3", {name: values[0] for name, values in kept.mass.items()}, (1, 2, 3))
    assert again.mass["name"].shape == (4, 2, 4, 10)
    scores = tables.scores_of("doc_450:question:none", tmp_path / "sets")
    assert scores == pytest.approx(kept.scores("question").mean(0))
    first = tables.scores_of("doc_450:question:none:1", tmp_path / "sets")
    assert first == pytest.approx(kept.scores("question")[0])


def test_every_table_has_its_rows(tables: Any) -> None:
    sets = {"doc_450": measured(tables, 16, 0.1), "doc_450-seed1": measured(tables, 16, 0.1, 1)}
    sets["slides"] = measured(tables, 6, 0.1, 2)
    written = tables.concentration_table(sets).splitlines()
    assert len(written) == 2 + len(tables.CHOICES) + 2
    assert "| doc_450 | lift" not in written
    halves = tables.reliability_table(sets).splitlines()
    assert "16 a half" in halves[0]
    assert "24 a half" not in halves[0]
    assert halves[2].startswith("| name | none | 1.00 1.00 |")
    assert len(tables.agreement_table(sets).splitlines()) == 2 + len(tables.CHOICES)
    assert "slides (n 6, 450 tokens)" in tables.sets_table(sets)


def test_accuracies_have_intervals(tables: Any) -> None:
    line = {"task": "t", "patch": "none", "ranking": "", "right": [1.0] * 24}
    other = line | {"patch": "hybrid@0.1", "ranking": "doc_450:name:none", "right": [1.0] * 12 + [0.0] * 12}
    second = other | {"ranking": "doc_450:question:none"}
    alone = other | {"patch": "zero@0.05"}
    written = tables.judged_table([line, other, second, alone])
    assert "t, as it is: 1.00 [0.86, 1.00]" in written
    assert "| doc_450:name:none | 0.50 [0.31, 0.69] |" in written
    assert "zero" not in written  # one ranking alone is compared with none


def _line(
    patch: str, hits: int, ranking: str = "", seed: int = 0, task: str = "coreheads_smol_doc_450"
) -> dict[str, Any]:
    right = [1.0] * hits + [0.0] * (4 - hits)
    return {"task": task, "document_seed": seed, "patch": patch, "ranking": ranking, "right": right}


def test_seeds_are_summed_up_over_all_pairs(tables: Any) -> None:
    lines = [_line("none", 4), _line("none", 3, seed=1), _line("hybrid:none", 1), _line("hybrid:none", 1, seed=1)]
    del lines[0]["document_seed"]  # an older line
    for seed, hits in ((0, (0, 1)), (1, (2, 3))):
        for set_, hit in zip(("doc_450", "doc_450-seed1"), hits, strict=True):
            ranking = f"{set_}:question:none"
            for patch in ("vision@0.05", "vision:bottom@0.05", "hybrid@0.05", "hybrid@0.1"):
                lines.append(_line(patch, hit, ranking, seed))
            # two draws, taken together
            lines += [_line(f"vision:layer_matched:{draw}@0.05", hit + draw, ranking, seed) for draw in (0, 1)]
    written = tables.seeds_table(lines).splitlines()
    assert "| as it is | 0.88 | 0.75 | 1.00 | 1.00 | 0.75 |" in written
    assert "| picture hidden from the top 5 % | 0.38 | 0.00 | 0.75 | 0.00 0.25 | 0.50 0.75 |" in written
    assert any(row.endswith("same layers | 0.50 | 0.12 | 0.88 | 0.12 0.38 | 0.62 0.88 |") for row in written)
    assert "seed1" not in tables.judged_table(lines)
    assert tables.forms_table(lines, tables.MARKS).count("\n") == 1  # no other form was judged
    assert "bottom" not in tables.judged_table(lines)


def test_pages_stand_beside_their_text(tables: Any) -> None:
    task = "coreheads_smol_doc_4000"
    lines = [
        _line(way, hits, task=task)
        for way, hits in (("none", 2), ("cells:none", 2), ("breaks:none", 3), ("words:none", 3), ("text:none", 4))
    ]
    lines += [
        _line(way, 4, seed=1, task=task)
        for way in ("none", *(f"{way}:none" for way in ("cells", "breaks", "words", "text")))
    ]
    lines.append(_line("none", 4))
    (row,) = tables.forms_table(lines, tables.FORMS).splitlines()[2:]
    assert row.startswith("| doc_4000 | 8 | 0.75 [0.41, 0.93]: 0.50 1.00 |")
    assert row.endswith("| 1.00 [0.68, 1.00]: 1.00 1.00 |")


def test_which_tokens_ask(tables: Any) -> None:
    import torch

    words = ["See", "page", "page", "Question", ":", "Where", "is", " Maria", "?", "Answer", ":", " Maria", " is"]
    tokenizer = SimpleNamespace(decode=lambda ids: words[ids[0]])
    adapter = SimpleNamespace(processor=SimpleNamespace(tokenizer=tokenizer))
    prompt = SimpleNamespace(
        query_tokens=torch.arange(5, 9),
        vision_tokens=torch.tensor([1, 2]),
        tokens=len(words),
        inputs={"input_ids": torch.arange(len(words))[None]},
    )
    _loaded("evidence_text")
    found = {name: rows.tolist() for name, rows in _loaded("evidence").row_sets(adapter, prompt).items()}
    assert list(found) == list(tables.QUERIES)
    assert found == {
        "name": [7],
        "question": [5, 6, 7, 8],
        "beginning": [9, 10, 11, 12],
        "begun": [5, 6, 7, 8, 9, 10, 11, 12],
        "last": [12],
        "last 4": [9, 10, 11, 12],
        "text": [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    }
