"""What a run was asked comes first: a run of other settings is told so in one line, whatever it answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small_run
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.check.baseline import Baseline, load_baseline
from coreheads.check.compare import check, compare
from coreheads.check.findings import Finding
from coreheads.check.snapshot import snapshot
from coreheads.cli import main
from coreheads.files import read_json, read_jsonl, write_json
from coreheads.store.folder import RunFolder

HYBRID = "made-up__long_task__hybrid__top__0.25"
ABLATE = "made-up__long_task__ablate__top__0.25"
DRAW = "made-up__long_task__ablate__random__0.25__draw1"
DENSE = "made-up__long_task__none"

CONFIG: dict[str, Any] = {
    "models": [{"id": "made-up", "name": "made-up", "dtype": "float32", "attn_implementation": None, "settings": {}}],
    "seed": 0,
    "options": {"long_task": {"dpi": 72}, "other": {}},
    "profile": {"tasks": ["x"], "samples": 8, "split": "profile", "normalization": None},
    "evaluate": {"tasks": ["long_task"], "limit": 20, "split": "test", "draws": 3, "draw_limit": None},
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return small_run.change_manifest(small_run.fake_run(tmp_path / "run"), config=CONFIG)


@pytest.fixture
def baseline(run: RunFolder, tmp_path: Path) -> Baseline:
    assert main(["check", str(run.path), "--baseline", str(tmp_path / "baseline.json"), "--update"]) == 0
    return load_baseline(tmp_path / "baseline.json")


def edit(run: RunFolder, cell: str, change: Any) -> RunFolder:
    """With another record of a cell."""
    path = run.path / "cells.jsonl"
    lines = [change(line) if line["name"] == cell else line for line in read_jsonl(path)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunFolder.load(run.path)


def only(run: RunFolder, baseline: Baseline) -> Finding:
    report = check(run, baseline)
    (finding,) = report.findings
    assert (finding.kind, finding.ok) == ("settings", False)
    assert report.worse == ()
    assert report.verdict == "the run has other settings than the baseline"
    return finding


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed is 1, in the baseline 0"),
        ({"evaluate": CONFIG["evaluate"] | {"split": "dev"}}, 'evaluate.split is "dev", in the baseline "test"'),
        ({"evaluate": CONFIG["evaluate"] | {"limit": None}}, "evaluate.limit is null, in the baseline 20"),
        ({"evaluate": CONFIG["evaluate"] | {"draw_limit": 4}}, "evaluate.draw_limit is 4, in the baseline null"),
        ({"evaluate": CONFIG["evaluate"] | {"draws": 2}}, "evaluate.draws is 2, in the baseline 3"),
        ({"evaluate": CONFIG["evaluate"] | {"tasks": ["b"]}}, 'evaluate.tasks is ["b"], in the baseline'),
        ({"profile": CONFIG["profile"] | {"samples": 9}}, "profile.samples is 9, in the baseline 8"),
        ({"options": {"long_task": {"dpi": 99}}}, 'options.long_task is {"dpi": 99}, in the baseline {"dpi": 72}'),
        ({"options": {}}, 'options.long_task is {}, in the baseline {"dpi": 72}'),
        ({"models": [CONFIG["models"][0] | {"dtype": "bfloat16"}]}, 'models.made-up.dtype is "bfloat16", in the'),
        ({"models": [CONFIG["models"][0] | {"settings": {"max_pixels": 1}}]}, "models.made-up.settings is"),
    ],
)
def test_another_configuration_is_one_line(
    run: RunFolder, baseline: Baseline, change: dict[str, Any], said: str
) -> None:
    """With equal answers, and with all of them lost."""
    assert said in only(small_run.change_manifest(run, config=change), baseline).text
    for path in (run.path / "samples").iterdir():
        lines = [line | {"score": 0.0, "scores": {"accuracy": 0.0}, "response": "?"} for line in read_jsonl(path)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert said in only(RunFolder.load(run.path), baseline).text


def test_what_the_baseline_does_not_judge_is_no_other_setting(run: RunFolder, baseline: Baseline) -> None:
    more = CONFIG["evaluate"] | {"draws": 5, "tasks": ["b", "long_task"], "batch_size": 1}
    now = small_run.change_manifest(
        run, config={"evaluate": more, "out": "x", "timing": {"repeats": 11}, "device": "y"}
    )
    assert not check(now, baseline).failed


@pytest.mark.parametrize("cell", [HYBRID, ABLATE, DRAW])
def test_other_heads_are_told(run: RunFolder, baseline: Baseline, cell: str) -> None:
    """Though every answer and the ranking are the same."""
    finding = only(edit(run, cell, lambda line: line | {"heads": [[0, 0], [1, 2]]}), baseline)
    assert f"patched heads of 1 cell differ, as {cell}: 1 of its 2 are the baseline's" in finding.text
    assert "0 of its 1" in only(edit(run, cell, lambda line: line | {"heads": [[900, 900]]}), baseline).text


def test_heads_of_another_ranking_are_told_with_it(run: RunFolder, baseline: Baseline) -> None:
    small_run.profile([list(reversed(row)) for row in small_run.MEAN]).save(run.heads_path("made-up"))
    now = edit(run, HYBRID, lambda line: line | {"heads": [[0, 3], [1, 2]]})
    report = check(now, baseline)
    assert {finding.kind for finding in report.failed} == {"settings", "ranking"}
    assert report.findings[0].kind == "settings"


def test_heads_without_intervals_are_exact(run: RunFolder) -> None:
    profile = small_run.profile(small_run.MEAN).to_dict() | {"ci_low": None, "ci_high": None}
    write_json(run.heads_path("made-up"), profile)
    before = snapshot(RunFolder.load(run.path))
    record = before.heads["made-up"]
    assert record.mean == record.ci_low == record.ci_high
    assert not compare(before, before).failed
    write_json(run.heads_path("made-up"), profile | {"mean": [list(reversed(row)) for row in small_run.MEAN]})
    assert "ranking" in {finding.kind for finding in compare(snapshot(RunFolder.load(run.path)), before).failed}


def test_heads_that_rank_alike_may_be_others(run: RunFolder, tmp_path: Path) -> None:
    """Their intervals overlap, and another processor's rounding turns them round: for the top ones, and for what is
    drawn in their layers."""

    def profiled(last: float, other: float) -> RunFolder:
        mean = [[0.9, 0.1, 0.05, 0.01], [0.02, last, other, 0.04]]
        low, high = ([[value + shift for value in row] for row in mean] for shift in (-0.01, 0.01))
        profile = small_run.profile(mean).to_dict() | {"ci_low": low, "ci_high": high}
        write_json(run.heads_path("made-up"), profile)
        return run

    cell = "made-up__long_task__ablate__layer_matched__0.25__draw1"

    def matched(line: dict[str, Any]) -> dict[str, Any]:
        return line | {"name": cell, "cell": line["cell"] | {"selection": "layer_matched"}}

    (run.path / "samples" / f"{DRAW}.jsonl").rename(run.path / "samples" / f"{cell}.jsonl")
    before = snapshot(edit(profiled(0.500, 0.499), DRAW, matched))
    assert not compare(snapshot(RunFolder.load(run.path)), before).failed
    profiled(0.499, 0.500)
    for name in (HYBRID, ABLATE):
        edit(run, name, lambda line: line | {"heads": [[0, 0], [1, 2]]})
    now = edit(run, cell, lambda line: line | {"heads": [[0, 1], [1, 3]]})
    assert not compare(snapshot(now), before).failed
    now = edit(run, HYBRID, lambda line: line | {"heads": [[0, 3], [1, 0]]})
    assert compare(snapshot(now), before).failed[0].kind == "settings"


@pytest.mark.parametrize("field", ["limit", "seed"])
def test_another_limit_or_seed_of_a_cell(run: RunFolder, baseline: Baseline, field: str) -> None:
    now = edit(run, DRAW, lambda line: line | {"cell": line["cell"] | {field: 7}})
    assert f"{field}s of 1 cell differ, as {DRAW}: 7, in the baseline" in only(now, baseline).text


@pytest.mark.parametrize("old", [False, True])
def test_other_records_are_told(run: RunFolder, baseline: Baseline, old: bool) -> None:
    """Also by a baseline that knows of none but its samples; a record that cannot be scored is no other one."""
    if old:
        cells = {name: cell.model_copy(update={"asked": None}) for name, cell in baseline.cells.items()}
        baseline = baseline.model_copy(update={"cells": cells, "settings": {}})
    path = run.path / "samples" / f"{DENSE}.jsonl"
    *lines, last = read_jsonl(path)
    gone = {"schema_version": 1, "record_id": last["record_id"], "unscored": "its picture is broken"}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, gone]))
    now = edit(run, DENSE, lambda line: line | {"n": 19, "unscored": 1, "score": 17 / 19})
    assert [finding.kind for finding in check(now, baseline).failed] == ["accuracy"]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, last | {"record_id": "new"}]))
    now = edit(run, DENSE, lambda line: line | {"n": 20, "unscored": 0, "score": 0.9})
    text = only(now, baseline).text
    assert f"records of 1 cell differ, as {DENSE}: 19 of its 20 are the baseline's, {last['record_id']} is in" in text


def test_many_differences_are_one_line(run: RunFolder, baseline: Baseline, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"seed": 1, "profile": CONFIG["profile"] | {"samples": 9, "split": "a", "tasks": []}}
    text = only(small_run.change_manifest(run, config=config), baseline).text
    assert "; and 1" not in text
    config["evaluate"] = CONFIG["evaluate"] | {"split": "dev"}
    assert "; and 1 more" in only(small_run.change_manifest(run, config=config), baseline).text
    path, junit = run.path.parent / "baseline.json", run.path.parent / "junit.xml"
    assert main(["check", str(run.path), "--baseline", str(path), "--junit", str(junit), "--github"]) == 1
    out = capsys.readouterr().out
    assert out.count("::error ") == 1
    assert (
        sum(line.startswith("settings other than the baseline's: evaluate.split is") for line in out.splitlines()) == 1
    )
    assert "::error title=settings other than the baseline's::evaluate.split is" in out
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert main(["check", str(run.path), "--baseline", str(path), "--update"]) == 0
    assert main(["check", str(run.path), "--baseline", str(path)]) == 0


def test_baselines_of_older_versions_are_read_and_pass(run: RunFolder, baseline: Baseline, tmp_path: Path) -> None:
    content = read_json(tmp_path / "baseline.json")
    del content["settings"]
    for cell in content["cells"].values():
        del cell["asked"]
    write_json(tmp_path / "old.json", content)
    assert not check(small_run.change_manifest(run, config={"seed": 9}), load_baseline(tmp_path / "old.json")).failed


LEAVES = ["seed", "profile.samples", "profile.split", "evaluate.limit", "evaluate.split", "evaluate.draw_limit"]


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(LEAVES), st.one_of(st.none(), st.integers(), st.text(max_size=5)), min_size=1))
def test_any_change_of_a_setting_is_named(changes: dict[str, Any]) -> None:
    from coreheads.check.settings import compare_settings, settings_of

    config = json.loads(json.dumps(CONFIG))
    for path, value in changes.items():
        *section, name = path.split(".")
        (config[section[0]] if section else config)[name] = value
    cell = {"condition": "c", "metric": "m", "samples": {"r": (1.0, "a", None)}}
    before, now = (
        Baseline.model_validate({"settings": settings_of(one), "cells": {"c": cell}}) for one in (CONFIG, config)
    )
    found, _ = compare_settings(now, before)
    changed = [path for path in changes if now.settings[path] != before.settings[path]]
    assert bool(found) == bool(changed)
    assert all(path in found[0].text for path in sorted(changed)[:4])


def with_record(run: RunFolder, content: str) -> RunFolder:
    """The run as if a record of it had held this."""
    manifest = read_json(run.path / "manifest.json")
    tasks = {"long_task": {"code": content, "records": {"test": {"r1": content, "r2": "same", "r3": None}}}}
    write_json(run.path / "manifest.json", manifest | {"made_from": {"models": {}, "tasks": tasks}})
    return RunFolder.load(run.path)


def test_other_records_under_the_same_ids(run: RunFolder, baseline: Baseline, tmp_path: Path) -> None:
    assert not check(with_record(run, "a"), baseline).failed  # the baseline does not say what its records held
    path = tmp_path / "with.json"
    assert main(["check", str(run.path), "--baseline", str(path), "--update"]) == 0
    known = load_baseline(path)
    assert not check(with_record(run, "a"), known).failed
    finding = only(with_record(run, "b"), known)
    assert "1 of 3 records of task long_task, split test (asked, expected or shown), such as r1" in finding.text
