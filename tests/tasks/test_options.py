"""Options of tasks: what each may be, draws after the split, and the files that a split reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trees

from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.tasks import registry
from coreheads.tasks.splits import Split, chosen, drawn


@pytest.mark.parametrize(
    ("task", "name", "value", "expected"),
    [
        ("mmdocir_page", "max_pages", None, "None, expected a whole number above 0"),
        ("mmdocir_layout", "max_pages", True, "True, expected a whole number above 0"),
        ("vidstg", "frames", None, "None, expected a whole number above 0"),
        ("vidstg", "side", None, "None, expected a whole number above 0"),
        ("vidstg", "frames", 2.5, "2.5, expected a whole number above 0"),
        ("vidstg", "form", "imperative", "'imperative', expected one of declarative, interrogative"),
        ("mmlongbench_doc", "dpi", None, "None, expected a whole number above 0"),
        ("mmlongbench_doc", "dpi", -72, "-72, expected a whole number above 0"),
        ("mmlongbench_doc", "extractor", ["gpt"], "['gpt'], expected a text or null"),
        ("mmlongbench", "lengths", None, "None, expected a list of whole numbers"),
        ("mmlongbench", "lengths", [], "[], expected a list of whole numbers"),
        ("mmlongbench", "lengths", [[8]], "[[8]], expected a list of whole numbers"),
        ("mmlongbench", "lengths", [8, 9], "9, expected some of 8, 16, 32, 64, 128"),
        ("mmlongbench", "subtasks", [[1]], "[[1]], expected a list of texts or null"),
        ("mmlongbench", "subtasks", "longdocurl", "'longdocurl', expected a list of texts or null"),
        ("refcocog", "prompt", ["{expression}"], "['{expression}'], expected a text or null"),
    ],
)
def test_wrong_kinds_are_refused(task: str, name: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.get(f"coreheads_{task}").settings({name: value})
    assert str(caught.value) == f"options.{name}: {expected}"


def test_null_stays_where_it_means_something() -> None:
    for task, name in (
        ("mmlongbench", "samples"),
        ("mmlongbench", "subtasks"),
        ("mmlongbench_doc", "max_pages"),
        ("mmlongbench_doc", "extractor"),
        ("refcocog", "prompt"),
        ("vidstg", "form"),
    ):
        assert registry.get(f"coreheads_{task}").settings({name: None})[name] is None


def test_an_option_without_a_value_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "coreheads_mmlongbench_doc", "--option", "dpi"]) == 2
    assert capsys.readouterr().err.strip() == "error: --option 'dpi': expected key=value, for example --option dpi=72"
    assert main(["profile", "tiny", "--tasks", "coreheads_mini_refcocog", "--option", "dpi"]) == 2
    assert capsys.readouterr().err.startswith("error: --option 'dpi': expected key=value")
    assert main(["profile", "tiny", "--tasks", "coreheads_mini_refcocog", "--setting", "max_pixels"]) == 2
    assert capsys.readouterr().err.startswith("error: --setting 'max_pixels': expected key=value")


def _needles(count: int) -> list[dict[str, Any]]:
    return [
        {"record_id": f"vh/{number}", "group": f"vh/{number}", "subtask": "vh_single", "length": length}
        for length in (8, 16)
        for number in range(count)
    ]


def test_the_draw_is_made_from_what_the_split_holds() -> None:
    for part in ("rest", "profile"):
        found = drawn(chosen(_needles(1000), Split("all", part)), 100)  # type: ignore[arg-type]
        assert len(found) == 200
        assert {doc["length"] for doc in found} == {8, 16}
    assert len(drawn(_needles(7), None)) == len(drawn(_needles(7), 100)) == 14


def test_a_split_of_the_task_is_drawn_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.get("coreheads_mmlongbench_8k")
    asked: list[Any] = []

    def records(source: Any, split: str, options: Any) -> list[dict[str, Any]]:
        asked.append(options["samples"])
        return _needles(300)

    monkeypatch.setattr(task.functions(), "records", records)
    (tmp_path / "mmlongbench").mkdir()
    assert len(task.records("test", data_root=tmp_path)) == 200
    assert len(task.records("test", data_root=tmp_path, options={"samples": 5})) == 10
    assert asked == [None, None]


def test_the_split_that_is_left_out_is_among_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.refcocog(tmp_path)
    arguments = ["tasks", "coreheads_refcocog", "--split", "profile", "--data-root", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "there    " + str(tmp_path / "refcocog/data/val-*.parquet") in out
    assert "there    " + str(tmp_path / "refcocog/data/test-*.parquet") in out
    assert out.count(": 1 there)") == 2
    (tmp_path / "refcocog/data/test-00000-of-00001.parquet").unlink()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "missing  " + str(tmp_path / "refcocog/data/test-*.parquet") in out
    assert out.count(": 1 there)") == 1


def test_the_plan_names_it_too(tmp_path: Path) -> None:
    from coreheads.config.schema import load_config
    from coreheads.run.preflight import missing

    trees.refcocog(tmp_path)
    (tmp_path / "refcocog/data/test-00000-of-00001.parquet").unlink()
    changes = ("profile.tasks=[coreheads_refcocog]", "evaluate.tasks=[coreheads_mini_mmdocir]", "cells=[]")
    resolved = load_config(None, (*changes, "timing.tasks=[]"), data_root=str(tmp_path))
    assert any("test-*.parquet" in line for line in missing(resolved))
