"""``coreheads run``: find the heads, evaluate every cell, time the timed ones, write the leaderboard.

One model after the other; everything that is finished is on disk, so that the folder says what is left to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from coreheads.config.cells import expand
from coreheads.config.schema import RunConfig
from coreheads.files import write_errors
from coreheads.leaderboard import asked
from coreheads.leaderboard import build as leaderboard
from coreheads.run import costs, sources
from coreheads.run.model import Finished, ModelRun
from coreheads.run.plan import left_to_do, mended
from coreheads.run.preflight import check_data, check_names, needed_paths
from coreheads.run.progress import RunProgress
from coreheads.store.aside import set_aside
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import MadeFrom
from coreheads.text import visible


def run(config: RunConfig, shown: bool = True, fresh: bool = False) -> Finished:
    """Do what is not done yet of this run.

    Args:
        config: What is asked for.
        shown: Whether progress is shown.
        fresh: Keep what the folder holds under another name, and begin anew.

    Raises:
        UserError: Anything is wrong with the input; as far as possible before anything is computed.
    """
    out = Path(config.out)
    check_names(config)
    cells = expand(config)
    if fresh:
        kept = set_aside(out, needed_paths(config))
        if kept is not None:
            print(visible(f"The run that was in {out} is kept in {kept}"), file=sys.stderr)
    progress = RunProgress(shown, costs.of_run(out, config.device))

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
        for model in config.models:
            own = [cell for cell in cells if cell.model == model.name]
            if model.name in busy:
                ModelRun(config, model, own, folder, progress, again, finished).run()
                progress.forget(model.name)
            else:
                progress.say(f"{model.name}: all {len(own)} cells are finished")
        if not any(record["n"] for record in folder.cells().values()):
            progress.say("No cell has a score: there is no leaderboard")
            return finished
        with progress.step("writing", "what was asked", 0):
            asked.store(folder, progress.say)
        with progress.step("writing", "the leaderboard", 0):
            finished.board = leaderboard.write([folder], folder.path)
        return finished
