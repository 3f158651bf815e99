"""Cells: what a configuration expands to, names that are files, samples that survive."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig, load_config
from coreheads.errors import UserError
from coreheads.files import append_jsonl
from coreheads.report.columns import condition_label
from coreheads.store.samples import SampleFile
from coreheads.text import file_name


def make(**cell: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "models": [{"id": "m"}],
            "profile": {"tasks": ["a"]},
            "evaluate": {"tasks": ["a", "b"], "limit": 20, "draws": 3, "draw_limit": 8},
            "cells": [cell],
        }
    )


def test_default_has_every_cell_that_is_to_be_shown() -> None:
    cells = expand(load_config())
    ablations = {(c.selection, c.fraction) for c in cells if c.patch == "ablate"}
    assert {("top", 0.025), ("top", 0.05)} <= ablations
    assert {("bottom", 0.05), ("random", 0.05), ("layer_matched", 0.05)} <= ablations
    draws = [c for c in cells if c.patch == "ablate" and c.selection == "random" and c.fraction == 0.05]
    assert len({c.draw for c in draws}) >= 5  # fewer have no interval of their own
    hybrids = {(c.selection, c.fraction) for c in cells if c.patch == "hybrid"}
    assert {("top", 0.1), ("none", None), ("random", 0.1)} <= hybrids
    rivals = {c.patch: c.budget_of for c in cells if c.budget is not None}
    assert rivals == {"cdpruner": "flops", "dart": "flops", "random": "flops", "snapkv": "kv"}
    tasks = {c.task for c in cells}
    assert all(sum(c.patch == "none" and c.task == task for c in cells) == 1 for task in tasks)
    assert len({c.name for c in cells}) == len(cells)


def test_dense_comes_first_on_every_task_and_draws_have_seeds() -> None:
    cells = expand(make(patch="ablate", selections=["random"], fractions=[0.1]))
    assert [(c.task, c.patch, c.draw) for c in cells] == [
        ("a", "none", None), ("a", "ablate", 0), ("a", "ablate", 1), ("a", "ablate", 2),
        ("b", "none", None), ("b", "ablate", 0), ("b", "ablate", 1), ("b", "ablate", 2),
    ]  # fmt: skip
    assert [c.seed for c in cells[1:4]] == [0, 1, 2]


def test_cells_may_ask_fewer_samples() -> None:
    cells = expand(make(patch="hybrid", selections=["none", "random"], fractions=[0.1], limit=5))
    assert {(c.limit, c.within) for c in cells if c.patch == "hybrid"} == {(5, 20)}
    assert {(c.limit, c.within) for c in cells if c.patch == "none"} == {(20, 20)}
    assert [c.span(100) for c in cells if c.draw is not None][:2] == [(0, 5), (5, 5)]
    (more,) = {c.limit for c in expand(make(patch="snapkv", limit=50))}
    assert more == 20, "not more than all others"


def test_cells_may_be_for_some_tasks_only() -> None:
    cells = expand(make(patch="hybrid", selections=["none"], tasks=["b"]))
    assert [(c.task, c.patch) for c in cells] == [("a", "none"), ("b", "none"), ("b", "hybrid")]


def test_successive_draws_take_successive_samples_within_those_of_dense() -> None:
    cells = [c for c in expand(make(patch="ablate", selections=["random"], fractions=[0.1])) if c.draw is not None]
    assert [c.span(100) for c in cells[:3]] == [(0, 8), (8, 8), (12, 8)]
    assert Cell("m", "a", limit=20, within=20).span(100) == (0, 20)
    assert Cell("m", "a").span(100) == (0, 100)
    assert all(offset + count <= 5 for offset, count in (c.span(5) for c in cells))


def test_one_cell_asked_for_twice_is_an_error() -> None:
    config = make(patch="hybrid", selections=["none"])
    twice = config.model_copy(update={"cells": (*config.cells, *config.cells)})
    with pytest.raises(UserError, match="twice"):
        expand(twice)


def test_cells_survive_json() -> None:
    cells = expand(make(patch="hybrid", params={"sink": 1, "window": 2}, selections=["explicit"], heads=[[1, 2]]))
    assert [Cell.from_json(cell.to_json()) for cell in cells] == cells


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "x" * 400, "", "a b\n", "ö", "..", "-rf"])
def test_names_are_safe_as_files(name: str) -> None:
    safe = file_name(name)
    assert "/" not in safe
    assert safe not in ("", ".", "..")
    assert not safe.startswith(("-", "."))
    assert len(safe) < 200
    assert safe != file_name(name + "?")


def test_half_a_line_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    SampleFile(path).add("a", "yes", 1.0, {"acc": 1.0}, 10)
    small_run.append_half_line(path)
    store = SampleFile(path)
    assert set(store.samples) == {"a"}
    store.add("b", "no\n", 0.0, {"acc": 0.0}, 11)
    assert [line["response"] for line in SampleFile(path).samples.values()] == ["yes", "no\n"]


def test_no_sample_is_stored_twice(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    store = SampleFile(path)
    store.add("a", "yes", 1.0, {}, 10)
    with pytest.raises(ValueError, match="twice"):
        store.add("a", "yes", 1.0, {}, 10)
    append_jsonl(path, {"schema_version": 1, "record_id": "a", "response": "", "score": 0})
    with pytest.raises(UserError, match="twice"):
        SampleFile(path)


@pytest.mark.parametrize(
    "line", [{}, [], {"record_id": "a"}, {"record_id": "a", "schema_version": 1}, {"record_id": 3, "schema_version": 1}]
)
def test_foreign_sample_files_are_refused(tmp_path: Path, line: object) -> None:
    append_jsonl(tmp_path / "samples.jsonl", line)
    with pytest.raises(UserError, match=r"samples\.jsonl"):
        SampleFile(tmp_path / "samples.jsonl")


def test_cells_are_counted_before_they_are_made() -> None:
    for selections in (["random"], ["top", "random"], ["none"], ["top", "none", "layer_matched"]):
        config = make(patch="hybrid", selections=selections, fractions=[0.1, 0.2] if selections != ["none"] else [])
        assert config.cell_count() == len(expand(config))
    config = make(patch="hybrid", selections=["none"], tasks=["b"])
    assert config.cell_count() == len(expand(config)) == 3
    for change in ({"draws": 10**9}, {"fractions": [1 / n for n in range(1, 30_000)]}):
        with pytest.raises(ValueError, match=r"cells: .* are asked for .*, expected at most 50,000"):
            make(**{"patch": "hybrid", "selections": ["random"], "fractions": [0.1], **change})


def test_a_full_expansion_ends() -> None:
    config = make(patch="hybrid", selections=["top"], fractions=[n / 25_000 for n in range(1, 24_990)])
    assert len(expand(config)) == config.cell_count()


def test_a_patch_without_heads_is_one_cell_a_task() -> None:
    config = make(patch="theirs", params={"keep": 0.25}, timed=True)
    cells = [cell for cell in expand(config) if cell.patch != "none"]
    assert [cell.task for cell in cells] == ["a", "b"]
    assert {(cell.selection, cell.fraction, cell.draw, cell.heads, cell.timed) for cell in cells} == {
        (None, None, None, (), True)
    }
    assert cells[0].name == "m__a__theirs-keep=0.25"
    assert config.cell_count() == len(expand(config))
    assert Cell.from_json(cells[0].to_json()) == cells[0]
    assert condition_label(cells[0].to_json()) == "theirs (keep 0.25)"


def test_a_patch_on_top_of_another_is_a_cell_of_its_own() -> None:
    on = {"patch": "cdpruner", "params": {"keep": 0.5}}
    config = make(patch="hybrid", selections=["top"], fractions=[0.1], on=on, tasks=["b"], timed=True)
    both = config.model_copy(update={"cells": (*config.cells, config.cells[0].model_copy(update={"on": None}))})
    dense, top, alone = (cell for cell in expand(both) if cell.task == "b")
    assert top.name == "m__b__hybrid__on-cdpruner-keep=0.5__top__0.1"
    assert alone.name == "m__b__hybrid__top__0.1"
    assert top.condition != alone.condition
    assert top.below == ("cdpruner", {"keep": 0.5})
    assert condition_label(top.to_json()) == "hybrid: top 10 % full on cdpruner (keep 0.5)"
    assert condition_label(alone.to_json()) == "hybrid: top 10 % full"
    for cell in (dense, top, alone):
        assert Cell.from_json(cell.to_json()) == cell
    old = {name: value for name, value in alone.to_json().items() if name != "on"}  # before there was such a field
    assert Cell.from_json(old) == alone  # type: ignore[arg-type]


def test_budgets_are_cells_of_their_own() -> None:
    config = make(patch="hybrid", selections=["top", "random"], budgets=[0.5, 0.25], budget_of="flops", tasks=["a"])
    cells = [cell for cell in expand(config) if cell.patch == "hybrid"]
    assert [(c.selection, c.budget, c.draw) for c in cells] == [
        ("top", 0.5, None), ("top", 0.25, None),
        ("random", 0.5, 0), ("random", 0.5, 1), ("random", 0.5, 2),
        ("random", 0.25, 0), ("random", 0.25, 1), ("random", 0.25, 2),
    ]  # fmt: skip
    assert len({cell.name for cell in cells}) == len(cells) == config.cell_count() - 2
    assert cells[0].name == "m__a__hybrid__top__0.5-of-flops"
    assert all(Cell.from_json(cell.to_json()) == cell for cell in cells)
    alone = expand(make(patch="snapkv", budgets=[0.5, 0.25], budget_of="kv"))
    assert [cell.budget for cell in alone] == [None, 0.5, 0.25] * 2
    assert condition_label(alone[1].to_json()) == "snapkv, 50 % of the cache"
    assert condition_label(cells[0].to_json()) == "hybrid: top full, 50 % of the work"
    preset = expand(make(patch="dart", params={"keep": 0.25}, preset=True))[1]
    assert condition_label(preset.to_json()) == "dart (keep 0.25), preset"


def test_cells_of_older_versions_have_no_budget() -> None:
    record = Cell("m", "a", "hybrid", selection="top", fraction=0.5).to_json()
    older = {name: value for name, value in record.items() if name not in ("budget", "budget_of", "preset")}
    assert Cell.from_json(older) == Cell.from_json(record)  # type: ignore[arg-type]


def test_a_task_may_have_fewer_samples() -> None:
    config = make(patch="hybrid", selections=["random"], fractions=[0.5], draws=1)
    evaluate = config.evaluate.model_copy(update={"limit": 20, "limits": {"a": 5, "b": 50}, "draw_limit": 8})
    cells = expand(config.model_copy(update={"evaluate": evaluate}))
    assert {(c.task, c.patch): (c.limit, c.within) for c in cells} == {
        ("a", "none"): (5, 5), ("a", "hybrid"): (5, 5), ("b", "none"): (20, 20), ("b", "hybrid"): (8, 20),
    }  # fmt: skip
