"""A Ray cluster as far as a run needs it: its devices, workers on them, what they tell, and whether it is still there.

The only module that imports ray, which is an extra: ``pip install 'coreheads[ray]'``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Thread
from typing import Any

from coreheads.config.schema import ModelConfig, RunConfig
from coreheads.errors import UserError, one_line
from coreheads.run.replicas.address import check_address, knock
from coreheads.run.replicas.news import Lost, News, Share
from coreheads.run.replicas.worker import Worker, gpus_needed

GONE_S = 30
"""Seconds without an answer after which a cluster is given up; Ray itself ends the process after 60."""
OBJECTS = 100 << 20
"""Bytes for objects in a cluster of our own: what workers tell is small."""


def check_installed() -> None:
    """UserError where there is no ray."""
    if find_spec("ray") is None:
        raise UserError("--ray: ray is not installed, expected it from: pip install 'coreheads[ray]'")


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """A running cluster while the block lasts, or one of this machine alone that ends with it.

    Args:
        address: HOST:PORT of a cluster that this machine is part of; "auto", one that runs here; "local" starts one.
            None is what RAY_ADDRESS says, else "local".

    Raises:
        UserError: There is none, or it cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    check_address(address)
    import ray

    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECTS} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=True, **own)
    except Exception as error:  # connection, version and runtime errors of several kinds
        where = "" if address == "local" else f" {address}"
        raise UserError(
            f"--ray{where}: no cluster can be {'started' if own else 'reached'} ({one_line(error)})"
        ) from None
    try:
        yield Cluster(address)
    finally:
        ending = Thread(target=ray.shutdown, daemon=True)
        ending.start()
        ending.join(GONE_S)  # a dead cluster is not waited for


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, address: str) -> None:
        import ray

        self.address = address
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._server = host.strip("[]"), int(port)
        self._seen = time.monotonic()

    def share(self, config: RunConfig, model: ModelConfig) -> Share:
        """What a replica of the model takes. UserError for a device that replicas cannot be given."""
        device, total = config.device, self._total()
        gpus = int(total.get("GPU", 0))
        if isinstance(model.device_map, int):
            wanted = model.device_map
        elif model.device_map is not None:
            numbers = [int(str(where).rpartition(":")[2]) for where in model.device_map.values()]
            wanted = 1 + max(numbers, default=0)
        elif device == "auto-map":
            wanted = self._probed(config, model)
        elif device in ("cpu", "cuda", "cuda:0", "auto"):
            wanted = 0 if device == "cpu" or (device == "auto" and not gpus) else 1
        else:
            known = "expected cpu, cuda, auto or auto-map: Ray gives every replica its own GPUs"
            raise UserError(f"device: {device!r} with --ray, {known}")
        return Share(max(1, int(total.get("CPU", 0)) * wanted // gpus) if wanted and gpus else 1, wanted)

    def room(self, share: Share) -> int:
        """How many replicas the cluster has devices for, taken or not."""
        each = (
            min(int(has.get("CPU", 0)) // share.cpus, int(has.get("GPU", 0)) // share.gpus if share.gpus else 10**6)
            for has in self._nodes().values()
        )
        return sum(each)

    def count(self, share: Share, asked: int | None, most: int) -> int:
        """How many replicas there are to be: as many as asked for, else one for each device, but at most ``most``.
        UserError where the cluster has fewer."""
        room = self.room(share)
        machines = f"{len(self._nodes())} machine{'s' * (len(self._nodes()) > 1)}"
        if not room:
            raise UserError(f"--ray: no machine of the cluster has {share}, which a replica takes ({machines})")
        if asked is not None and asked > room:
            raise UserError(f"--replicas: {asked}, but the cluster has devices for {room} of {share} each ({machines})")
        return asked or max(1, min(room, most))

    def memory(self) -> int:
        """Bytes of memory that all machines give to Ray."""
        return int(self._total().get("memory", 0))

    def whole_node(self, share: Share) -> Share:
        """All of the first machine that has room for a replica."""
        for node, has in sorted(self._nodes().items()):
            cpus, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
            if cpus >= share.cpus and gpus >= share.gpus:
                return Share(cpus, gpus, node)
        raise self._gone("no machine with such a device is left")

    def start(self, share: Share, *arguments: Any) -> Any:
        """A worker; it begins when its devices are free. It is never started again by Ray: what it was told would then
        be told to one that has loaded nothing, and a call that waits for that fails at once."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0}
        if share.node is not None:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(share.node, soft=False)
        return ray.remote(**options)(Worker).remote(*arguments)

    def call(self, actor: Any, what: str, *arguments: Any) -> Any:
        """Have a worker do something; gives what :meth:`wait` takes."""
        return getattr(actor, what).options(num_returns="streaming").remote(*arguments)

    def stop(self, actor: Any) -> None:
        """End a worker now."""
        import ray

        ray.kill(actor)

    def wait(self, calls: Sequence[Any], seconds: float) -> list[tuple[int, News | Lost]]:
        """What some calls have told meanwhile, each by its place; nothing after so many seconds. UserError where the
        cluster is gone."""
        import ray

        ready, _ = ray.wait(list(calls), num_returns=1, timeout=seconds)
        self._check()
        told: list[tuple[int, News | Lost]] = []
        for call in ready:
            try:
                told.append((calls.index(call), ray.get(next(call))))
            except StopIteration:
                told.append((calls.index(call), Lost("it ended without a word")))
            except ray.exceptions.RayError as error:
                told.append((calls.index(call), Lost(_reason(error))))
        return told

    def check_room(self, share: Share) -> None:
        """UserError where no machine is left that could hold a replica."""
        if not self.room(share):
            raise self._gone(f"no machine with {share} is left")

    def _check(self) -> None:
        """UserError where the cluster has not answered for a while."""
        if time.monotonic() - self._seen < 2:
            return
        try:
            knock(*self._server)
        except OSError as error:
            if time.monotonic() - self._seen > GONE_S:
                raise self._gone(one_line(error)) from None
        else:
            self._seen = time.monotonic()

    def _gone(self, why: str) -> UserError:
        return UserError(
            f"--ray: the cluster ({self.address}) is gone: {why}; what was finished is stored, the same command goes on"
        )

    def _nodes(self) -> dict[str, dict[str, float]]:
        """Resources of every machine that is there, by Ray's id."""
        import ray

        return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}

    def _total(self) -> Mapping[str, float]:
        nodes = self._nodes().values()
        return {name: sum(has.get(name, 0) for has in nodes) for name in ("CPU", "GPU", "memory")}

    def _probed(self, config: RunConfig, model: ModelConfig) -> int:
        """The fewest GPUs that hold the model, as the machine with the most of them finds it."""
        import ray

        most = max((int(has.get("GPU", 0)) for has in self._nodes().values()), default=0)
        if not most:
            raise UserError("device: 'auto-map', but the cluster has no GPU")
        asked = ray.remote(num_gpus=most, max_retries=3)(gpus_needed).remote(model)
        try:
            found: int | str = ray.get(asked)
        except ray.exceptions.RayError as error:
            found = _reason(error)
        if isinstance(found, str):
            raise UserError(found)
        return found


def _reason(error: Exception) -> str:
    """Why a worker is gone, in a line."""
    from ray.exceptions import RayTaskError

    if isinstance(error, RayTaskError):
        cause: Exception = error.cause
        return f"{type(cause).__name__}: {one_line(cause)}"
    text = str(error)
    if "creation task" in text:  # the last line is Python's own
        return text.strip().splitlines()[-1]
    if "running low on memory" in text:
        return "Ray ended its process: the machine ran low on memory"
    if "node" in text and "died" in text and "worker process has died" not in text:
        return "its machine is gone"
    return "its process was killed or crashed, as where memory runs out"
