"""What a run on Ray consists of, piece by piece and without Ray: who answers what, what is sent, what is refused."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.config.schema import ModelConfig, RunConfig, load_config
from coreheads.environment import machine, versions
from coreheads.errors import UserError
from coreheads.files import append_jsonl, read_jsonl, write_json
from coreheads.hashing.source_code import whole_hash
from coreheads.run import runner
from coreheads.run.model import Finished
from coreheads.run.replicas import cluster as ray_cluster
from coreheads.run.replicas import mirror
from coreheads.run.replicas.cell_queue import CellQueue
from coreheads.run.replicas.cluster import Cluster
from coreheads.run.replicas.machines import check_worker
from coreheads.run.replicas.news import About, Change, Outbox, Share
from coreheads.run.replicas.replica import Replica
from coreheads.run.replicas.worker import gpus_needed
from coreheads.store.provenance import MadeFrom
from coreheads.store.samples import SampleFile

NODE = {"CPU": 8.0, "GPU": 4.0, "memory": 64e9}


def cells(task: str, patches: int) -> list[Cell]:
    return [Cell("m", task), *(Cell("m", task, "dart", (("keep", 1 / (n + 2)),)) for n in range(patches))]


def replica(number: int, task: str = "") -> Replica:
    return Replica(number, Share(1, 0), None, task=task)


def test_a_replica_keeps_to_its_task_and_the_others_take_others() -> None:
    everything = [*cells("a", 3), *cells("b", 3), *cells("c", 3)]
    queue = CellQueue(everything, everything)
    pool = [replica(1), replica(2)]
    taken: list[list[str]] = [[], []]
    while queue.left:
        for number, own in enumerate(pool):
            own.cell = queue.take(own, pool)
            if own.cell is not None:
                own.task = own.cell.task
                taken[number].append(own.task)
    assert [taken[0][:4], taken[1][:4]] == [["a"] * 4, ["b"] * 4]
    # who is done first has the third task, and is helped when nothing else is left
    assert sorted(taken[0][4:] + taken[1][4:]) == ["c"] * 4


def test_cells_that_show_prompts_otherwise_wait_for_the_dense_one() -> None:
    dense = Cell("m", "a")
    smaller = Cell("m", "a", "resolution", (("keep", 0.5),))
    queue, (first, second) = CellQueue([smaller, dense], [dense, smaller]), (replica(1), replica(2))
    assert queue.measure(smaller) == dense
    assert queue.measure(dense) is None
    first.cell = queue.take(first, [first, second])
    assert first.cell == dense
    assert queue.take(second, [first, second]) is None
    first.cell = None
    assert queue.take(second, [first, second]) == smaller


def test_losses_count_until_there_is_a_step_forward() -> None:
    queue = CellQueue([], [])
    assert [queue.lose("cell", forward) for forward in (False, False, True, False, False)] == [False] * 4 + [True]


def test_what_a_worker_writes_is_what_the_driver_has(tmp_path: Path) -> None:
    run, cell = small_run.fake_run(tmp_path / "run"), Cell("made-up", "short | task", "none", limit=7)
    (tmp_path / "copy").mkdir()
    given = mirror.to_answer(run, Cell("made-up", "short | task"), None)
    box = Outbox(tmp_path / "copy", given)
    assert box.changes() == []
    own = SampleFile(tmp_path / "copy" / "samples" / f"{cell.name}.jsonl")
    for number in range(3):
        own.add(f"new{number}", "an answer", 1.0, {"accuracy": 1.0}, 10, margin=1 / 3)
        (change,) = box.changes()
        assert change.appended
        mirror.store(run, [change], run.samples(cell.name, whole=False))
    own.leave_out("new3", "no such file")
    append_jsonl(tmp_path / "copy/cells.jsonl", {"one": 1})
    write_json(tmp_path / "copy/heads/made-up.json", {"new": True})
    cells_before = (run.path / "cells.jsonl").read_bytes()
    changes = box.changes()
    assert {change.name: change.appended for change in changes} == {
        f"samples/{cell.name}.jsonl": True,
        "cells.jsonl": True,
        "heads/made-up.json": False,
    }
    mirror.store(run, changes, run.samples(cell.name, whole=False))
    assert (run.path / "cells.jsonl").read_bytes() == cells_before + b'{"one": 1}\n'
    copy, there = own.path, run.path / "samples" / own.path.name
    assert list(read_jsonl(there))[-4:] == list(read_jsonl(copy))[-4:]
    # what is begun anew takes the place of what was there; what is gone is gone
    partial = tmp_path / "copy/heads/partial/task.jsonl"
    append_jsonl(partial, {"a": 1})
    assert box.changes() == [Change("heads/partial/task.jsonl", b'{"a": 1}\n', True)]
    partial.unlink()
    append_jsonl(partial, {"b": 1}, {"c": 1})
    assert box.changes() == [Change("heads/partial/task.jsonl", b'{"b": 1}\n{"c": 1}\n', False)]
    partial.unlink()
    assert box.changes() == [Change("heads/partial/task.jsonl", None, False)]


def test_a_line_is_stored_once(tmp_path: Path) -> None:
    store = SampleFile(tmp_path / "samples" / "cell.jsonl")
    store.add("r0", "text", 1.0, {"accuracy": 1.0}, 10)
    with pytest.raises(UserError, match="record 'r0' was evaluated twice"):
        store.take(dict(store.samples["r0"]))
    with pytest.raises(UserError, match="a worker's line"):
        store.take({"record_id": "r1"})
    assert len(list(read_jsonl(store.path))) == 1


def about(**changes: Any) -> About:
    known = About("far", 1, whole_hash(), versions(), machine("cpu"), None)
    return known._replace(**changes)


def test_workers_of_other_code_versions_or_records() -> None:
    made: MadeFrom = {"models": {"m": {"weights": "1"}}, "tasks": {"t": {"code": "c", "records": {"test": {"r": "x"}}}}}
    assert check_worker(about(sources=made), made) is None
    said = check_worker(about(versions=versions() | {"torch": "1.0"}), made)
    assert said is not None
    assert "far has other versions of packages (torch 1.0, here" in said
    other: MadeFrom = {
        "models": {"m": {"weights": "2"}},
        "tasks": {"t": {"code": "d", "records": {"test": {"r": "y"}}}},
    }
    what = r"others than this machine of: weights of model m; the code of task t; 1 of 1 records of task t, .*expected"
    for changes, message in (
        ({"code": "0"}, "far has other code of coreheads"),
        ({"versions": versions() | {"coreheads": "9"}}, "far has coreheads 9, this machine"),
        ({"sources": other}, what),
    ):
        with pytest.raises(UserError, match=message):
            check_worker(about(**changes), made)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Of two machines with 8 cores and 4 GPUs each."""
    monkeypatch.setattr(Cluster, "__init__", lambda self: None)
    monkeypatch.setattr(Cluster, "_nodes", lambda self: {"one": NODE, "two": NODE})
    return Cluster()  # type: ignore[call-arg]


def asks(device: str, device_map: Any = None) -> tuple[RunConfig, ModelConfig]:
    config = load_config(None, (), device=device)
    return config, config.models[0].model_copy(update={"device_map": device_map})


@pytest.mark.parametrize(
    ("device", "device_map", "share", "room"),
    [
        ("cpu", None, Share(1, 0), 16),
        ("cuda", None, Share(2, 1), 8),
        ("auto", None, Share(2, 1), 8),
        ("cpu", 2, Share(4, 2), 4),
        ("cuda", 3, Share(6, 3), 2),
        ("cuda", {"model": 0, "lm_head": "cuda:1"}, Share(4, 2), 4),
    ],
)
def test_what_a_replica_takes(cluster: Cluster, device: str, device_map: Any, share: Share, room: int) -> None:
    assert cluster.share(*asks(device, device_map)) == share
    assert cluster.room(share) == room
    assert cluster.count(share, None, 100) == room
    assert cluster.count(share, None, 1) == cluster.count(share, 1, 100) == 1
    assert cluster.whole_node(share) == Share(8, 4, "one")
    with pytest.raises(UserError, match=rf"^--replicas: {room + 1}, but the cluster has devices for {room} of .* each"):
        cluster.count(share, room + 1, 100)


def test_devices_that_replicas_cannot_be_given(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="device: 'cuda:1' with --ray, expected cpu, cuda, auto or auto-map"):
        cluster.share(*asks("cuda:1"))
    with pytest.raises(UserError, match=r"no machine of the cluster has 5 GPUs, which a replica takes \(2 machines\)"):
        cluster.count(Share(1, 5), None, 100)
    monkeypatch.setattr(Cluster, "_nodes", lambda self: {"one": {"CPU": 2.0}})
    assert cluster.share(*asks("auto")) == Share(1, 0)
    with pytest.raises(UserError, match="no machine of the cluster has 1 GPU, "):
        cluster.count(cluster.share(*asks("cuda")), None, 100)
    cluster.address = "here"
    with pytest.raises(UserError, match=r"the cluster \(here\) is gone: no machine with 1 GPU is left; .* goes on"):
        cluster.check_room(Share(1, 1))


@pytest.fixture
def other_server() -> Iterator[int]:
    """The port of a server that is none of Ray's."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_addresses_where_no_cluster_is(other_server: int) -> None:
    for address, message in (
        ("nowhere", "expected HOST:PORT of a cluster that this machine is part of, auto .* or local"),
        ("ray://host:10001", "expected HOST:PORT"),
        ("127.0.0.1:1", "nothing answers there .*refused.*, expected HOST:PORT of a running Ray cluster"),
        (f"127.0.0.1:{other_server}", "no server of Ray's"),
    ):
        with pytest.raises(UserError, match=f"^--ray {address}: .*{message}"), ray_cluster.connected(address):
            pass


def test_without_ray_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    assert main(["run", "--ray", "--out", str(tmp_path / "run")]) == 2
    message = "error: --ray: ray is not installed, expected it from: pip install 'coreheads[ray]'\n"
    assert capsys.readouterr().err == message
    assert main(["run", "--replicas", "2", "--out", str(tmp_path / "run")]) == 2
    assert "--replicas 2 without --ray" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "ray", "replicas"),
    [
        ([], False, None),
        (["--ray"], True, None),
        (["--ray", "embedded"], True, None),
        (["--ray", "--replicas", "2"], True, 2),
        (["embedded", "--ray", "host:6379"], "host:6379", None),
        (["--ray=auto", "embedded"], "auto", None),
        (["--ray", "local", "--quiet"], "local", None),
    ],
)
def test_ray_takes_an_address_or_none(
    arguments: list[str], ray: bool | str, replicas: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(config: RunConfig, **options: Any) -> Finished:
        asked.update(options)
        return Finished()

    monkeypatch.setattr(runner, "run", run)
    assert main(["run", *arguments]) == 0
    assert (asked["ray"], asked["replicas"]) == (ray, replicas)


@pytest.mark.slow  # a process that imports torch
def test_ray_is_imported_only_when_it_is_asked_for() -> None:
    code = "import sys, coreheads.run.runner, coreheads.cli.run; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow  # builds the shapes of a model
def test_auto_map_takes_the_fewest_gpus_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.adapters.checkpoints import device_map
    from coreheads.doctor.model import needed_bytes

    weights = needed_bytes("tiny", "float32")[0]
    monkeypatch.setattr(device_map, "gpus", lambda: 4)
    for free, count in ((2 * weights, 1), (weights, 2)):
        monkeypatch.setattr(device_map, "free_memory", lambda free=free: [free] * 4)
        assert gpus_needed(ModelConfig(id="tiny")) == count
    monkeypatch.setattr(device_map, "free_memory", lambda: [weights // 100] * 4)
    assert "weights do not fit into" in str(gpus_needed(ModelConfig(id="tiny")))
    monkeypatch.setattr(device_map, "gpus", lambda: 0)
    assert "has no CUDA devices" in str(gpus_needed(ModelConfig(id="tiny")))
