"""How many replicas of a model a cluster is asked for, and that they do the model's part."""

from __future__ import annotations

import sys

from coreheads.doctor.model import needed_bytes
from coreheads.errors import UserError
from coreheads.run.model import ModelRun
from coreheads.run.replicas.cluster import Cluster
from coreheads.run.replicas.driver import Replicas

PROCESS = 1 << 30
"""Bytes of a worker beside its model: libraries, prompts, activations."""


def run_on(cluster: Cluster, run: ModelRun, asked: int | None) -> None:
    """Have replicas on a cluster do a model's part: so many, or None: one for each device, as memory allows."""
    share = cluster.share(run.config, run.model)
    count = cluster.count(share, asked, sys.maxsize if share.gpus else _fitting(run, cluster))
    Replicas(run, cluster, share, count).run()


def _fitting(run: ModelRun, cluster: Cluster) -> int:
    """How many replicas the machines' memory holds; as many as one likes where a model's size is not known."""
    try:
        weights, cache, _ = needed_bytes(run.model.id, run.model.dtype)
    except UserError:
        return sys.maxsize
    return max(1, cluster.memory() // (weights + cache + PROCESS))
