"""The registry: what it lists, what it refuses, what importing it costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from set_scores import aggregate

from coreheads.errors import UserError
from coreheads.tasks import registry

MINI = [name for name in registry.names() if registry.get(name).folder.name == "mini"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match=r"coreheads_refcocog.*coreheads_mini_mlvu"):
        registry.get("refcoco")
    with pytest.raises(UserError, match="profile, test"):
        registry.get("coreheads_mini_mlvu").records("train")


def test_listing_imports_nothing_heavy() -> None:
    program = (
        "import sys; from coreheads.tasks import registry;"
        "[registry.get(name).expected() for name in registry.names()];"
        "print([name for name in ('torch', 'transformers', 'lmms_eval', 'datasets', 'decord', 'av', 'pyarrow')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MINI)
def test_every_mini_task(small: Path, name: str) -> None:
    task = registry.get(name)
    assert task.yaml.is_file()
    assert task.metric == task.metrics[0]
    assert all(found.present for split in task.splits for found in task.expected(split=split))
    docs = task.records("test")
    assert task.records("test", limit=2) == docs[:2]
    truth = [task.target(doc) for doc in docs]
    assert all(set(task.doc_scores(doc, answer)) == set(task.metrics) for doc, answer in zip(docs, truth, strict=True))
    scores = aggregate(task, docs, truth)
    assert set(scores) == {*task.metrics, *task.aggregates, "unscored"}
    assert scores["unscored"] == 0.0
    assert scores[task.metric] == 1.0
    assert scores["unparsed"] == 0.0
    assert aggregate(task, docs, [f"  {answer} \n" for answer in truth]) == scores
    nothing = aggregate(task, docs, [""] * len(docs))
    assert nothing.pop("unparsed") == 1.0
    assert set(nothing.values()) == {0.0}
    with pytest.raises(UserError):
        aggregate(task, docs, [])


def test_expected_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in MINI:
        found = registry.get(name).expected()
        assert found
        assert not any(entry.present for entry in found)
        assert all(entry.path.startswith(str(tmp_path)) for entry in found)


def test_a_data_root_is_used(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = registry.get("coreheads_mini_mmdocir")
    docs = task.records("test", data_root=small)
    assert docs[0]["root"] == str(small / "mmdocir/test")
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_names_the_records_not_the_folder(small: Path, tmp_path: Path) -> None:
    task = registry.get("coreheads_mini_mmdocir")
    docs = task.records("test")
    shutil.copytree(small / "mmdocir", tmp_path / "mmdocir")
    moved = task.records("test", data_root=tmp_path)
    assert moved[0]["root"] != docs[0]["root"]
    assert task.fingerprint(moved) == task.fingerprint(docs)
    assert task.fingerprint(docs[1:]) != task.fingerprint(docs)
