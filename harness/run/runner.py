"""``coreheads run``: find the heads, evaluate every cell, time the timed ones, write the leaderboard.

One model after the other; everything that is finished is on disk, so that the folder says what is left to do.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig
from coreheads.files import writing
from coreheads.leaderboard import build as leaderboard
from coreheads.run import costs
from coreheads.run.model import ModelRun
from coreheads.run.preflight import check_names, look
from coreheads.run.progress import Reporter
from coreheads.run.retry import mended
from coreheads.run.workload import unfinished, works
from coreheads.store.folder import RunFolder


@dataclass(frozen=True)
class Finished:
    """What a run has come to.

    board: the content of leaderboard.json; None where not one cell has a score. failed: why cells have no score, by
    cell; untimed: why tasks have no speed, by cell. Both are tried again by the same command.
    """

    board: dict[str, Any] | None
    failed: dict[str, str] = field(default_factory=dict)
    untimed: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.failed and not self.untimed


def run(config: RunConfig, shown: bool = True) -> Finished:
    """Do what is not done yet of this run.

    Raises UserError for everything that is wrong with the input, as far as possible before anything is computed.
    """
    out = Path(config.out)
    check_names(config)
    cells = expand(config)
    with RunFolder.open(out, config.model_dump(mode="json")) as folder, writing(out):
        reporter = Reporter(shown, costs.of_run(out, config.device))
        if folder.died is not None:
            reporter.say(f"The {folder.died} that worked here has died; going on")
        again = mended(config, cells, folder)
        if again:
            reporter.say(f"{sum(again.values())} answers of {len(again)} finished cells were unscored: asked again now")
        left = unfinished(config, cells, folder, again)
        reporter.expect(works(config, cells, folder, again))
        _look_at_data(config, {cell.model for cell in left}, folder)
        failed: dict[str, str] = {}
        untimed: dict[str, str] = {}
        for model in config.models:
            mine = [cell for cell in cells if cell.model == model.name]
            if any(cell.model == model.name for cell in left):
                work = ModelRun(config, model, mine, folder, reporter, again)
                work.run()
                failed |= work.failed
                untimed |= work.untimed
            else:
                reporter.say(f"{model.name}: all {len(mine)} cells are finished")
        return Finished(_board(folder, cells, reporter), failed, untimed)


def _board(folder: RunFolder, cells: Sequence[Cell], reporter: Reporter) -> dict[str, Any] | None:
    if not any(record["n"] for record in folder.cells().values()):
        reporter.say("No cell has a score: there is no leaderboard")
        return None
    with reporter.step("writing", "the leaderboard", 0):
        return leaderboard.write([folder], folder.path)


def _look_at_data(config: RunConfig, models: Container[str], folder: RunFolder) -> None:
    """UserError where a task has no data that can be used, for what these models are still to do."""
    busy = [model for model in config.models if model.name in models]
    if not busy:
        return
    if any(model.heads is None and not folder.heads_path(model.name).exists() for model in busy):
        wanted = config.profile
        look(wanted.tasks, wanted.split, wanted.samples, config.data_root, config.options)
    look(config.evaluate.tasks, config.evaluate.split, None, config.data_root, config.options)
