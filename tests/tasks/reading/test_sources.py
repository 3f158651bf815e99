"""Where data comes from: folders, the hub (a stand-in, nothing is fetched here), archives; and which split it is in."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from coreheads.cache import build_once
from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading import archives, hub
from coreheads.tasks.reading.hub import matches
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.splits import Split, chosen


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("data/*.parquet", "data/a.parquet", True),
        ("data/*.parquet", "data/b/a.parquet", False),
        ("vidor/video/*/*.mp4", "vidor/video/01/2.mp4", True),
        ("mmlb_image/*", "mmlb_image/vh/1.jpg", True),  # a folder that matches holds it
        ("data/a", "data/ab", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns(pattern: str, name: str, found: bool, tmp_path: Path) -> None:
    assert matches(pattern, name) is found
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert Source(str(tmp_path)).count(pattern) == int(found)


def test_a_missing_file_names_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadSample, match=rf"{tmp_path}/a/b.json: not there, expected questions"):
        Source(str(tmp_path)).file("a/b.json", "questions")


class Hub:
    """Stands in for huggingface_hub: a folder is the data set."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        self.error: Exception | None = None
        hub.fetch.cache_clear()
        hub.names.cache_clear()
        monkeypatch.setattr("huggingface_hub.hf_hub_download", self.download)
        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: self.files())
        monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_, **__: self.files())

    def files(self) -> list[str]:
        if self.error:
            raise self.error
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def download(self, repository: str, name: str, repo_type: str, revision: str | None) -> str:
        from huggingface_hub.errors import EntryNotFoundError

        assert (repo_type, revision) == ("dataset", None)
        if self.error:
            raise self.error
        if not (self.folder / name).is_file():
            raise EntryNotFoundError(f"404: {name}")
        self.fetched.append(name)
        return str(self.folder / name)


def test_a_task_reads_the_hub_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.mmlongbench_doc(tmp_path)
    stand_in = Hub(tmp_path / "mmlongbench_doc", monkeypatch)
    task = registry.get("coreheads_mmlongbench_doc")
    docs = {doc["question"]: doc for doc in task.records("all", data_root="hub")}
    assert stand_in.fetched == ["data/samples.json"]
    task.messages(docs["Who?"])
    assert stand_in.fetched == ["data/samples.json", "data/documents/b.pdf"]
    (tmp_path / "mmlongbench_doc/data/documents/a.pdf").unlink()
    with pytest.raises(BadSample, match=r"hub:yubo2333/MMLongBench-Doc/data/documents/a.pdf: not there"):
        task.messages(docs["How many?"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no route to host\nmore"), r"cannot be reached \(no route to host\); give --data-root"),
        (OSError("offline"), "cannot be reached"),
        (RuntimeError(), r"cannot be reached \(RuntimeError\)"),
    ],
)
def test_a_hub_that_cannot_be_reached_stops(
    error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = Hub(tmp_path, monkeypatch)
    stand_in.error = error
    with pytest.raises(UserError, match=message) as caught:
        registry.get("coreheads_mmlongbench_doc").records("all")
    assert not isinstance(caught.value, BadSample)
    assert len(str(caught.value).splitlines()) == 1


def test_offline_is_not_the_same_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    stand_in = Hub(tmp_path, monkeypatch)
    stand_in.error = LocalEntryNotFoundError("offline")
    with pytest.raises(UserError, match="cannot be reached and is not in the cache") as caught:
        Source("hub:a/b").file("x.json", "questions")
    assert not isinstance(caught.value, BadSample)


def test_without_a_connection_the_cache_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    (snapshot / "data").mkdir(parents=True)
    (snapshot / "data/x.parquet").touch()
    stand_in = Hub(tmp_path / "hub", monkeypatch)
    stand_in.error = ConnectionError("no route")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source = Source("hub:a/b")
    assert source.names("data/*.parquet") == ["data/x.parquet"]
    assert source.count("data/*.parquet") == 1
    assert source.count("data/*.json") == 0
    with pytest.raises(UserError, match="cannot be reached"):
        Source("hub:a/c").names("data/*.parquet")


def test_the_cache_is_read_of_one_snapshot_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "datasets--a--b"
    for name in ("old/x-00000-of-00001", "new/x-00000-of-00002", "new/x-00001-of-00002", "half/x-00000-of-00002"):
        (folder / "snapshots" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"snapshots/{name}.parquet").touch()
    (folder / "refs").mkdir()
    stand_in = Hub(tmp_path / "hub", monkeypatch)
    stand_in.error = ConnectionError("no route")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for revision, pieces in (("old", 1), ("new", 2)):
        (folder / "refs/main").write_text(revision)
        hub.names.cache_clear()
        for source in (Source("hub:a/b"), Source(f"hub:a/b@{revision}")):
            assert len(source.names("*.parquet")) == source.count("*.parquet") == pieces
            assert source.whole("*.parquet")
    (folder / "refs/main").write_text("half")
    hub.names.cache_clear()
    with pytest.raises(UserError, match=r"hub:a/b/x-00001-of-00002.parquet: not there, expected all 2 pieces"):
        Source("hub:a/b").names("*.parquet")
    assert not Source("hub:a/b").whole("*.parquet")


def tar(path: Path, files: dict[str, bytes], parts: int = 1) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    data = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    if parts == 1:
        path.write_bytes(data)
    step = -(-len(data) // parts)
    for number in range(parts if parts > 1 else 0):
        part = path.with_name(f"{path.name}.part-{'abc'[number]}")
        part.write_bytes(data[number * step : (number + 1) * step])


def test_archives_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {f"video/{number}.mp4": bytes([number]) * 1000 for number in range(5)}
    tar(tmp_path / "hub/MLVU_Test/test_video.tar.gz", files, parts=3)
    with zipfile.ZipFile(tmp_path / "hub/more.zip", "w") as archive:
        archive.writestr("more/x", "x")
    (tmp_path / "hub/questions.json").write_text("[]")
    stand_in = Hub(tmp_path / "hub", monkeypatch)
    source = Source("hub:someone/videos")
    names = ["questions.json", "MLVU_Test/test_video", "more"]
    root = archives.unpacked(source, names)
    assert {path.name: path.read_bytes() for path in (root / "MLVU_Test/video").iterdir()} == {
        f"{number}.mp4": bytes([number]) * 1000 for number in range(5)
    }
    assert (root / "questions.json").read_text() == "[]"
    assert (root / "more/x").read_text() == "x"
    count = len(stand_in.fetched)
    assert archives.unpacked(source, names) == root
    assert len(stand_in.fetched) == count
    with pytest.raises(UserError, match=r"hub:someone/videos/other: no such file or archive"):
        archives.unpacked(source, ["other"])


def test_an_archive_can_neither_leave_its_folder_nor_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tar(tmp_path / "hub/evil.tar.gz", {"../../outside": b"x"})
    (tmp_path / "hub/broken.tar.gz").write_bytes(b"\x1f\x8b broken")
    Hub(tmp_path / "hub", monkeypatch)
    for name in ("evil", "broken"):
        with pytest.raises(UserError, match=rf"hub:a/b/{name}: cannot be unpacked"):
            archives.unpacked(Source("hub:a/b"), [name])
    assert not list(tmp_path.rglob("outside"))


def test_the_long_context_task_unpacks_what_its_subtasks_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    trees.mmlongbench(tmp_path)
    base = tmp_path / "mmlongbench"
    for archive, top in (("0_mmlb_data", "mmlb_data"), ("5_docqa_image", "mmlb_image")):
        files = {str(path.relative_to(base)): path.read_bytes() for path in (base / top).rglob("*") if path.is_file()}
        tar(tmp_path / f"hub/{archive}.tar.gz", files)
    Hub(tmp_path / "hub", monkeypatch)
    task, options = registry.get("coreheads_mmlongbench_8k"), {"subtasks": ["slidevqa"]}
    (doc,) = task.records("all", options=options)
    assert len(task.messages(doc)[0]["content"]) == 9
    assert all(file.present for file in task.expected(options=options))


def test_building_once_leaves_nothing_half_made(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "made", fail)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert build_once(tmp_path / "made", lambda folder: (folder / "whole").touch()) == tmp_path / "made"
    build_once(tmp_path / "made", fail)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["whole"]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"made: cannot be made \(the disk is full\), expected a folder"):
        build_once(tmp_path / "made", full)


# ---- splits


@given(st.text(max_size=12))
def test_every_group_is_in_exactly_one_part(group: str) -> None:
    profile, rest = Split("all", "profile"), Split("all", "rest")
    assert profile.holds(group) != rest.holds(group)
    assert Split("all").holds(group)
    # two benchmarks name the same document with and without its ending
    assert profile.holds(group.removesuffix(".pdf")) == profile.holds(f"{group.removesuffix('.pdf')}.pdf")


def test_a_fifth_of_the_groups_finds_heads() -> None:
    share = sum(Split("all", "profile").holds(f"doc{number}") for number in range(5000)) / 5000
    assert share == pytest.approx(0.2, abs=0.02)


def test_which_splits_overlap() -> None:
    whole, profile, rest = Split("all"), Split("all", "profile"), Split("all", "rest")
    assert whole.overlaps(profile)
    assert whole.overlaps(rest)
    assert profile.overlaps(profile)
    assert not profile.overlaps(rest)
    assert not Split("val").overlaps(Split("test"))


@given(st.permutations([{"group": group, "n": number} for group in "abcde" for number in range(2)]))
def test_order_is_that_of_the_groups_names(docs: list[dict[str, object]]) -> None:
    order = [doc["group"] for doc in chosen(docs, Split("all"))]
    expected = [doc["group"] for doc in chosen([{"group": group} for group in "aabbccddee"], Split("all"))]
    assert order == expected
