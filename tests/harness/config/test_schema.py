"""Configurations: what is accepted, and one clear line for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from coreheads.adapters.smol import weights
from coreheads.cli import main
from coreheads.config.schema import default_path, load_config
from coreheads.errors import UserError

BASE: dict[str, Any] = {
    "models": [{"id": "tiny"}],
    "profile": {"tasks": ["a"]},
    "evaluate": {"tasks": ["a", "b"]},
    "cells": [{"patch": "ablate", "selections": ["top"], "fractions": [0.05]}],
}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_embedded_default_is_valid_and_names_real_tasks_and_patches() -> None:
    from coreheads.run.preflight import check_names

    check_names(load_config())
    short = load_config(limit=8)
    check_names(short)
    assert short.evaluate.limit == 8
    assert short.evaluate.draws < load_config().evaluate.draws


def test_every_shipped_configuration_is_valid() -> None:
    for path in default_path().parent.glob("*.yaml"):
        load_config(path)
        load_config(path, limit=8)


SHIPPED = sorted(path.stem for path in default_path().parent.glob("*.yaml"))


def test_what_is_shipped() -> None:
    assert SHIPPED == ["embedded", "head_scores", "paper", "rivals", "rivals_smol", "single_gpu", "smol"]
    assert default_path().stem == "embedded"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_prints_its_plan_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With neither models nor data here: what is missing is said, and nothing is fetched or written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "installed", lambda: None)
    assert main(["run", name, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    config = load_config(name)
    assert all(task in plan for task in config.evaluate.tasks)
    assert "cells, up to" in plan
    absent = config.models[0].id != "tiny"
    assert ("Not on this machine" in plan) == absent
    assert (f"model {config.models[0].id}: not on this machine" in plan) == absent
    assert not list(tmp_path.iterdir())
    assert main(["run", name, "--dry-run", "--limit", "4"]) == 0


def test_the_papers_configuration_has_every_model_and_benchmark() -> None:
    from coreheads.tasks import registry

    config = load_config("paper")
    assert len(config.models) == 5
    benchmarks = {registry.get(name).benchmark for name in config.evaluate.tasks}
    assert benchmarks == {registry.get(name).benchmark for name in registry.names() if not registry.get(name).is_made}
    assert {fraction for cell in config.cells for fraction in cell.fractions} == {0.025, 0.05, 0.1, 0.2}
    for task in config.profile.tasks:
        profile = registry.get(task).split(config.profile.split)
        assert not profile.overlaps(registry.get(task).split(config.evaluate.split))


def test_a_name_that_is_neither_a_file_nor_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"papers: no such file, expected .* one of embedded.*did you mean 'paper'"):
        load_config("papers")
    monkeypatch.chdir(tmp_path)
    write(tmp_path, yaml.safe_dump(BASE)).rename("paper")
    assert load_config("paper").models[0].id == "tiny"  # a file of that name comes first


def test_changes_are_yaml_values_at_dotted_paths(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(BASE))
    changes = ("evaluate.limit=5", "cells.0.fractions=[0.1, 1]", "profile.normalization=lift", "models.0.revision=abc")
    config = load_config(path, changes, device="cuda", out="there")
    assert config.evaluate.limit == 5
    assert config.cells[0].fractions == (0.1, 1.0)
    assert config.profile.normalization == "lift"
    assert (config.models[0].revision, config.device, config.out) == ("abc", "cuda", "there")


def test_limit_brings_its_own_changes_and_set_wins_over_them(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump({**BASE, "with_limit": {"evaluate.draws": 2, "profile.samples": 3}}))
    config = load_config(path, ("profile.samples=4",), limit=7)
    assert (config.evaluate.limit, config.evaluate.draws, config.profile.samples) == (7, 2, 4)
    assert load_config(path).evaluate.draws == 10


def test_a_model_is_named_by_its_id_or_the_last_part_of_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump({**BASE, "models": [{"id": "Qwen/Q"}, {"id": str(tmp_path / "mine")}]}))
    assert [model.name for model in load_config(path).models] == ["Qwen/Q", "mine"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("cells.0.fractions=[0]", "cells.0.fractions.0 is 0, expected greater than 0"),
        ("cells.0.fractions=[2]", "cells.0.fractions.0 is 2, expected less than or equal to 1"),
        ("cells.0.fractions=[]", "need fractions"),
        ("cells.0.selections=[]", "needs selections"),
        ("cells=[{patch: dart, selections: [top], fractions: [0.1]}]", "cells.0: patch dart takes no heads"),
        ("cells=[{patch: hybrid}]", "cells.0: patch hybrid needs selections"),
        ("cells=[{patch: dart, budgets: [0.5, 2]}]", "cells.0.budgets.1 is 2, expected less than or equal to 1"),
        ("cells=[{patch: document, budgets: [0.5]}]", "patch document has no parameter that budgets could be solved"),
        ("cells=[{patch: dart, budgets: [0.5], params: {keep: 0.5}}]", "params.keep is given, and budgets"),
        ("cells=[{patch: dart, budgets: [0.5], preset: true}]", "budgets are given, and preset"),
        ("cells=[{patch: dart, budgets: [0.5], budget_of: kv}]", "budget_of is 'kv', expected 'flops' for patch dart"),
        ("cells=[{patch: dart, budget_of: flops}]", "budget_of is given without budgets"),
        ("cells=[{patch: none, budgets: [0.5]}]", "patch none takes no selections"),
        ("cells.0.budgets=[0.5]", "budgets and fractions are both given"),
        ("cells=[{patch: hybrid, selections: [top, none], budgets: [0.5]}]", "budgets are for selections of a size"),
        ("cells=[{patch: none, draws: 2, timed: true, fractions: [0.1]}]", "patch none takes no selections"),
        (
            "cells.0.selections=[best]",
            "cells.0.selections.0 is 'best', expected 'top', 'all', 'explicit', 'none', 'random', "
            "'layer_matched' or 'bottom'",
        ),
        ("cells.0.selections=[explicit]", "selection is empty"),
        ("cells.0.params.window=[1, 2]", "cells.0: params.window is [1, 2], expected a text, a number, true"),
        ("cells.0.tasks=[c]", "cells.0.tasks names 'c'"),
        ("timing.tasks=[c]", "timing.tasks names 'c'"),
        ("timing.repeats=1", "timing.repeats is 1, expected greater than or equal to 2"),
        ("evaluate.limit=0", "evaluate.limit is 0"),
        ("evaluate.limit=many", "evaluate.limit is 'many', expected a valid integer"),
        ("evaluate.tasks=[]", "evaluate.tasks"),
        ("profile.split=test", "found on one, judged on another"),
        ("profile.tasks=[]", "nothing to select heads from"),
        ("models=[]", "models"),
        ("models=[{id: x}, {id: x}]", "two models have one name"),
        ("speed=fast", "speed is not a known field"),
        ("schema_version=2", "schema_version is 2"),
        ("seed=-1", "seed is -1"),
        ("cells.7.patch=none", "'7' is not an element of cells"),
        ("seed.deep=1", "seed is 0, which has no fields"),
        ("seed", "expected key=value"),
        ("seed=[", "not YAML"),
        ("evaluate.limit=yes", "evaluate.limit is True, expected a number, not true or false"),
        ("evaluate.draws=on", "evaluate.draws is True, expected a number"),
        ("evaluate.draw_limit=true", "evaluate.draw_limit is True, expected a number"),
        ("evaluate.batch_size=true", "evaluate.batch_size is True, expected a number"),
        ("profile.samples=true", "profile.samples is True, expected a number"),
        ("cells.0.fractions=[true]", "cells.0.fractions.0 is True, expected a number"),
        ("cells.0.draws=true", "cells.0.draws is True, expected a number"),
        ("cells.0.heads=[[1, no]]", "cells.0.heads.0.1 is False, expected a number"),
        ("timing.warmup=true", "timing.warmup is True, expected a number"),
        ("timing.decode_tokens=true", "timing.decode_tokens is True, expected a number"),
        ("seed=no", "seed is False, expected a number"),
        ("evaluate.draws=10000000000", "evaluate.draws is"),
        ("evaluate.limit=1000000000000", "evaluate.limit is 1000000000000, expected less than or equal to 1000000000"),
        ("evaluate.draw_limit=1000000000000", "evaluate.draw_limit is"),
        ("profile.samples=1000000000000", "profile.samples is"),
        ("timing.repeats=1000000000", "timing.repeats is 1000000000, expected less than or equal to 10000"),
        ("timing.warmup=1000000000", "timing.warmup is"),
        ("timing.decode_tokens=1000000000", "timing.decode_tokens is"),
        ("schema_version=true", "schema_version is True, expected a number"),
    ],
)
def test_wrong_values_name_the_field_and_what_was_expected(tmp_path: Path, change: str, expected: str) -> None:
    path = write(tmp_path, yaml.safe_dump({**BASE, "seed": 0}))
    with pytest.raises(UserError) as caught:
        load_config(path, (change,))
    assert expected in str(caught.value)
    assert all(len(line) < 300 for line in str(caught.value).splitlines())


def test_a_fault_of_the_command_line_is_not_laid_at_the_files_door(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(BASE))
    for changes, options, source in (
        (("evaluate.limit=many",), {}, "--set evaluate.limit: evaluate.limit is 'many', expected a valid integer"),
        (("cells.0.fractions=[2]",), {}, "--set cells.0.fractions: cells.0.fractions.0 is 2"),
        ((), {"limit": 0}, "--limit: evaluate.limit is 0"),
        ((), {"device": 3}, "--device: device is 3"),
        (("seed=1", "evaluate.tasks=[]"), {}, "--set evaluate.tasks: "),
    ):
        with pytest.raises(UserError) as caught:
            load_config(path, changes, **options)  # type: ignore[arg-type]
        assert str(caught.value).startswith(source)
    with pytest.raises(UserError, match=r"run\.yaml: evaluate\.limit is -1"):
        load_config(
            write(tmp_path, yaml.safe_dump({**BASE, "evaluate": BASE["evaluate"] | {"limit": -1}})), ("seed=1",)
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [", "is not YAML, line"),
        ("models: &a [*b]", "is not YAML, line"),
        ("", "is empty, expected a mapping"),
        ("- 1", "holds [1], expected a mapping"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        ("models: [{id: x}]", "evaluate is missing"),
    ],
)
def test_broken_files_are_one_line_with_the_file(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=r"run\.yaml") as caught:
        load_config(path)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_file_folder_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(UserError, match=str(path.name)):
            load_config(path)


def test_a_model_may_keep_the_dtype_of_its_checkpoint(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(BASE))
    assert load_config(path, ("models.0.dtype=auto",)).models[0].dtype == "auto"
    with pytest.raises(UserError, match=r"models\.0\.dtype is 'int8', expected .*'float16' or 'auto'"):
        load_config(path, ("models.0.dtype=int8",))


def test_random_cells_cannot_be_timed_and_dense_takes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(BASE))
    for change in (
        "cells=[{patch: hybrid, selections: [random], fractions: [0.1], timed: true}]",
        "cells.0.patch=none",
    ):
        with pytest.raises(UserError, match=r"cells\.0"):
            load_config(path, (change,))


def test_a_patch_without_heads_needs_no_selections(tmp_path: Path) -> None:
    from coreheads.run.preflight import check_names

    tree = {
        **BASE,
        "profile": {"tasks": []},
        "evaluate": {"tasks": ["coreheads_mini_refcocog"]},
        "cells": [{"patch": "dart", "params": {"keep": 0.5}}, {"patch": "random", "params": {"keep": 0.5, "seed": 3}}],
    }
    config = load_config(write(tmp_path, yaml.safe_dump(tree)))
    check_names(config)
    assert config.cell_count() == 3
    for change, message in {
        "cells.0.params.keep=2": "Dart: keep is 2, expected above 0 and at most 1",
        "cells.0.params.kep=0.5": "patch dart: parameter 'kep' is not known, expected one of keep, positions",
        "cells.0.patch=drat": "patch 'drat' is not known",
    }.items():
        with pytest.raises(UserError, match=message):
            check_names(load_config(write(tmp_path, yaml.safe_dump(tree)), (change,)))


def test_on_needs_no_quotes(tmp_path: Path) -> None:
    text = yaml.safe_dump({name: BASE[name] for name in BASE if name != "cells"})
    text += "cells:\n  - {patch: hybrid, selections: [none], on: {patch: dart}, timed: yes}\n"
    (cell,) = load_config(write(tmp_path, text)).cells
    assert cell.on is not None
    assert (cell.on.patch, cell.timed) == ("dart", True)


def test_what_cannot_be_on_top_of_another_patch_is_said_first(tmp_path: Path) -> None:
    from coreheads.run.preflight import check_names

    cell = {"patch": "hybrid", "selections": ["none"], "on": {"patch": "dart", "params": {"keep": 0.5}}}
    tree = {**BASE, "evaluate": {"tasks": ["coreheads_mini_refcocog"]}, "cells": [cell], "profile": {"tasks": []}}
    check_names(load_config(write(tmp_path, yaml.safe_dump(tree))))
    for changes, message in {
        ("cells.0.on.patch=snapkv",): "on: patch snapkv drops no tokens",
        ("cells.0.on.patch=hybrid", "cells.0.on.params={}"): "on: patch hybrid drops no tokens",
        ("cells.0.on.patch=drat",): "patch 'drat' is not known",
        ("cells.0.on.params.keep=2",): "Dart: keep is 2, expected above 0",
        ("cells.0.on.params.keep=[1]",): r"cells\.0\.on\.params.*params.keep is \[1\], expected a text, a number",
        ("cells.0.on.layer=2",): r"cells\.0\.on\.layer",
        ("cells.0.on.patch=null",): r"cells\.0\.on\.patch",
        ("cells.0.selections=[]", "cells.0.patch=stride"): "patch stride takes no heads: .* or on",
        ("cells.0.selections=[]", "cells.0.patch=none"): "takes no selections, fractions, heads, params, on",
        ("cells.0.patch=ablate",): r"on: ablate \(mode vision\) goes by tokens' positions, which dart changes",
    }.items():
        with pytest.raises(UserError, match=message):
            check_names(load_config(write(tmp_path, yaml.safe_dump(tree)), changes))
