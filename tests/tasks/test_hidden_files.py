"""What macOS, Windows and editors leave beside files is no data, of whatever task."""

from __future__ import annotations

from pathlib import Path

import pytest
import trees
from trees import FAMILY, whole

from coreheads.files import is_hidden, matching
from coreheads.tasks import registry
from coreheads.tasks.reading.hub import matches
from coreheads.tasks.reading.sources import Source

COPIES = ("._{}", ".{}.swp", "{}~", "#{}#", ".#{}", "~${}")


@pytest.mark.parametrize("name", trees.WRITERS)
def test_a_task_reads_what_it_read_without_hidden_files(name: str, tmp_path: Path) -> None:
    trees.WRITERS[name](tmp_path)
    task = registry.get(name)
    before = task.records(whole(name), data_root=tmp_path, **FAMILY)
    counts = [file.count() for file in task.expected(tmp_path, whole(name))]
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        for other in (*(copy.format(file.name) for copy in COPIES), ".DS_Store", f".ipynb_checkpoints/{file.name}"):
            (file.parent / other).parent.mkdir(exist_ok=True)
            (file.parent / other).write_bytes(b"\0\5\x16\7")
    assert task.records(whole(name), data_root=tmp_path, **FAMILY) == before
    assert [file.count() for file in task.expected(tmp_path, whole(name))] == counts


def test_one_rule_for_folders_and_the_hub(tmp_path: Path) -> None:
    names = ["a.json", *(copy.format("a.json") for copy in COPIES), "__MACOSX/a.json", ".x/a.json", "b/a.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    place = Source(str(tmp_path))
    assert place.names("*.json*") + place.names("*/*") == ["a.json", "b/a.json"]
    assert [name for name in names if matches("*.json*", name) or matches("*/*", name)] == ["a.json", "b/a.json"]
    assert matching(tmp_path, "**/*.json") == [tmp_path / "a.json", tmp_path / "b/a.json"]


def test_a_folder_may_lie_below_a_hidden_one(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/a.json").touch()
    assert Source(str(tmp_path / ".cache")).count("*.json") == 1
    assert not is_hidden("a.b~c")
