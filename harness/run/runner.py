"""``coreheads run``: find the heads, evaluate every cell, time the timed ones, write the leaderboard.

One model after the other; everything that is finished is on disk, so that the folder says what is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from coreheads.config.cells import expand
from coreheads.config.schema import RunConfig
from coreheads.files import writing
from coreheads.leaderboard import build as leaderboard
from coreheads.run import costs
from coreheads.run.model import ModelRun
from coreheads.run.plan import left_to_do, mended
from coreheads.run.preflight import check_data, check_names
from coreheads.run.progress import RunProgress
from coreheads.store.board import Board
from coreheads.store.folder import RunFolder


@dataclass(frozen=True)
class Finished:
    """What a run has come to.

    board: the content of leaderboard.json; None where not one cell has a score. failed: why cells have no score, by
    cell; untimed: why tasks have no speed, by cell. Both are tried again by the same command.
    """

    board: Board | None
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
        progress = RunProgress(shown, costs.of_run(out, config.device))
        if folder.died is not None:
            progress.say(f"The {folder.died} that worked here has died; going on")
        again = mended(config, cells, folder)
        if again:
            progress.say(f"{sum(again.values())} answers of {len(again)} finished cells were unscored: asked again now")
        progress.expect(left_to_do(config, cells, folder, again))
        busy = {work.model for work in progress.left}
        check_data(config, busy, folder)
        finished = Finished(None)
        for model in config.models:
            own = [cell for cell in cells if cell.model == model.name]
            if model.name in busy:
                work = ModelRun(config, model, own, folder, progress, again)
                work.run()
                progress.forget(model.name)
                finished.failed.update(work.failed)
                finished.untimed.update(work.untimed)
            else:
                progress.say(f"{model.name}: all {len(own)} cells are finished")
        if not any(record["n"] for record in folder.cells().values()):
            progress.say("No cell has a score: there is no leaderboard")
            return finished
        with progress.step("writing", "the leaderboard", 0):
            return replace(finished, board=leaderboard.write([folder], folder.path))
