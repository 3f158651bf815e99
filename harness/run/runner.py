"""``coreheads run``: find the heads, evaluate every cell, time the timed ones, write the leaderboard.

One model after the other; everything that is finished is on disk, so that the folder says what is left to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coreheads import environment
from coreheads.config.cells import expand
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.files import write_errors
from coreheads.leaderboard import asked
from coreheads.leaderboard import build as leaderboard
from coreheads.run import costs, sources
from coreheads.run.model import Finished, ModelRun
from coreheads.run.plan import left_to_do, mended
from coreheads.run.preflight import check_data, check_names, needed_paths
from coreheads.run.progress import RunProgress
from coreheads.run.replicas import cluster as ray_cluster
from coreheads.run.replicas.run import run_on
from coreheads.store.aside import set_aside
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import MadeFrom
from coreheads.text import visible


def run(
    config: RunConfig,
    shown: bool = True,
    fresh: bool = False,
    ray: bool | str = False,
    replicas: int | None = None,
) -> Finished:
    """Do what is not done yet of this run.

    Args:
        config: What is asked for.
        shown: Whether progress is shown.
        fresh: Keep what the folder holds under another name, and begin anew.
        ray: Have replicas of each model do it on a Ray cluster: True is the one that RAY_ADDRESS names, else one of
            this machine alone; or HOST:PORT, "auto" (one that runs here), "local".
        replicas: How many, with ray; None is one for each GPU, or CPU core, of the cluster.

    Raises:
        UserError: Anything is wrong with the input; as far as possible before anything is computed.
    """
    out = Path(config.out)
    if ray is not False:
        ray_cluster.check_installed()
    elif replicas is not None:
        raise UserError(f"--replicas {replicas} without --ray, expected both: replicas are workers of a Ray cluster")
    check_names(config)
    cells = expand(config)
    if fresh:
        kept = set_aside(out, needed_paths(config))
        if kept is not None:
            print(visible(f"The run that was in {out} is kept in {kept}"), file=sys.stderr)
    known = costs.foreseen(
        out, environment.device_name(config.device), [model.name for model in config.models], config.evaluate.tasks
    )
    progress = RunProgress(shown, known)

    def made_from(folder: RunFolder) -> MadeFrom:
        progress.say("looking at checkpoints, heads files and records")
        return sources.checked(config, cells, folder, progress.warn)

    with RunFolder.open(out, config.model_dump(mode="json"), made_from) as folder, write_errors(out):
        if folder.died is not None:
            progress.say(f"The {folder.died} that worked here has died; going on")
        again = mended(config, cells, folder)
        if again:
            progress.say(f"{sum(again.values())} answers of {len(again)} finished cells were unscored: asked again now")
        progress.expect(left_to_do(config, cells, folder, again))
        busy = {work.model for work in progress.left}
        check_data(config, busy, folder)
        finished = Finished()
        with _cluster(ray, folder, bool(busy)) as cluster:
            for model in config.models:
                own = [cell for cell in cells if cell.model == model.name]
                if model.name not in busy:
                    progress.say(f"{model.name}: all {len(own)} cells are finished")
                    continue
                model_run = ModelRun(config, model, own, folder, progress, again, finished)
                if cluster is None:
                    model_run.run()
                else:
                    run_on(cluster, model_run, replicas)
                progress.forget(model.name)
        if not any(record["n"] for record in folder.cells().values()):
            progress.say("No cell has a score: there is no leaderboard")
            return finished
        with progress.step("writing", "what was asked", 0):
            asked.store(folder, progress.say)
        with progress.step("writing", "the leaderboard", 0):
            finished.board = leaderboard.write([folder], folder.path)
        return finished


@contextmanager
def _cluster(ray: bool | str, folder: RunFolder, needed: bool) -> Iterator[ray_cluster.Cluster | None]:
    """The cluster that is to do the work; None where this process does it."""
    if ray is False:
        yield None
        return
    folder.keep_replicas()
    if not needed:
        yield None
        return
    with ray_cluster.connected(None if ray is True else ray) as cluster:
        yield cluster
