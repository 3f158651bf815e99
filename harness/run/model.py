"""One model's part of a run: load it, find its heads, and task by task evaluate its cells and time them.

A fault in one cell is noted and the others go on; one that comes before the cells is that of all of them.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.config.cells import Cell
from coreheads.config.schema import ModelConfig, RunConfig
from coreheads.errors import OutOfMemory, UserError, one_line
from coreheads.run.costs import Work
from coreheads.run.examples import draw_for_run
from coreheads.run.patches import cell_patch
from coreheads.run.plan import untimed
from coreheads.run.profiles import profiles_of
from coreheads.run.progress import RunProgress
from coreheads.run.sources import note_model
from coreheads.store.board import Board
from coreheads.store.folder import RunFolder
from coreheads.store.made_from import check_heads

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.patches.base import Patch
    from coreheads.run.evaluator import Evaluator

    Patches = Mapping[str, tuple[list[list[int]], Patch]]
    """By cell, the heads as stored and the patch on them."""

_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
"""Faults of the machine that every other cell would meet, too."""


@dataclass
class Finished:
    """What a run has come to.

    board: the content of leaderboard.json; None where not one cell has a score. failed: why cells have no score, by
    cell; untimed: why tasks have no speed, by cell. Both are tried again by the same command.
    """

    board: Board | None = None
    failed: dict[str, str] = field(default_factory=dict)
    untimed: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.failed and not self.untimed


@dataclass(frozen=True)
class Loaded:
    """A model with lmms-eval around it, and the patch of each of its cells."""

    adapter: Adapter
    evaluator: Evaluator
    patches: Patches


@dataclass
class ModelRun:
    """cells: all of the model's. again: finished ones that are to be asked again. finished: what it adds to."""

    config: RunConfig
    model: ModelConfig
    cells: Sequence[Cell]
    folder: RunFolder
    progress: RunProgress
    again: Container[str]
    finished: Finished

    def run(self) -> None:
        """Do what is left. Raises UserError where that is the input's fault."""
        loaded = None
        with self.isolate(self.model.name, self.fail_all):
            loaded = self.prepare(self.load())
        if loaded is not None:
            for task in self.config.evaluate.tasks:
                cells = [cell for cell in self.cells if cell.task == task]
                self.evaluate(cells, loaded)
                self._note_costs(loaded.adapter)  # a measurement counts memory anew
                self.time(cells, loaded)
                self._note_costs(loaded.adapter)

    def prepare(self, adapter: Adapter) -> Loaded:
        """Find the heads of the loaded model, draw what they look at, and make the cells' patches on them."""
        from coreheads.run.evaluator import Evaluator

        profiles = profiles_of(self.config, self.model, adapter, self.folder, self._profiling)
        if profiles:
            first = next(iter(profiles.values()))
            draw_for_run(self.folder.path, self.model.name, adapter, first, self.config, self.progress.say)
        settings = self.config.evaluate
        evaluator = Evaluator(adapter, settings.split, self.config.data_root, settings.batch_size, self.config.options)
        patches = {cell.name: cell_patch(cell, profiles, adapter) for cell in self.cells}
        check_heads(self.folder, self.model.name, {name: heads for name, (heads, _) in patches.items()})
        return Loaded(adapter, evaluator, patches)

    def load(self) -> Adapter:
        """The model; what it comes from is noted in the run."""
        from coreheads.adapters.checkpoints.adapter import load_adapter
        from coreheads.adapters.checkpoints.quiet import quiet

        with self._step("loading", "", 0, "models"), self.progress.work(Work("load", self.model.name), 1), quiet():
            adapter = load_adapter(
                self.model.id,
                device=self.config.device,
                dtype=self.model.dtype,
                attn_implementation=self.model.attn_implementation,
                revision=self.model.revision,
                trust_remote_code=self.model.trust_remote_code,
                device_map=self.model.device_map,
                **self.model.settings,
            )
            self.progress.advance()
        note_model(self.folder, self.model)
        return adapter

    def evaluate(self, cells: Sequence[Cell], loaded: Loaded) -> None:
        """Answer what is left of cells of one task."""
        from coreheads.adapters.patches.budget import Cannot

        evaluator, patches = loaded.evaluator, loaded.patches
        missing = self.left(cells)
        if not missing:
            return
        available = 0
        with self.isolate(f"{self.model.name}__{missing[0].task}", lambda why: self.fail(missing, why)):
            available = len(evaluator.task(missing[0].task).ids)
        if not available:
            return
        total = sum(cell.span(available)[1] for cell in missing)
        with self._step("evaluating", missing[0].task, total, "samples"):
            for cell in missing:
                work = Work("answer", cell.model, cell.task, cell.patch, cell.name)
                with self.isolate(cell.name, lambda why, cell=cell: self.fail([cell], why)):  # type: ignore[misc]
                    try:
                        with self.progress.work(work, cell.span(available)[1], cell.name.split("__", 2)[-1]):
                            heads, patch = patches[cell.name]
                            store = self.folder.samples(cell.name)
                            whole = None if patch.shown == 1 else self._dense_tokens(cells)
                            result = evaluator.evaluate(cell, patch, store, self._answered, whole)
                            self.folder.finish_cell(cell, heads, result)
                    except Cannot as error:
                        self.folder.note_cannot(cell, str(error))

    def left(self, cells: Sequence[Cell]) -> list[Cell]:
        """Which of the cells are not finished, or are asked again."""
        finished = self.folder.settled()
        return [cell for cell in cells if cell.name not in finished or cell.name in self.again]

    def _dense_tokens(self, cells: Sequence[Cell]) -> dict[str, int]:
        """By record the length of the dense model's prompt."""
        stored = (self.folder.samples(cell.name).samples for cell in cells if cell.patch == "none")
        return {record: line["prompt_tokens"] for samples in stored for record, line in samples.items()}

    def _answered(self, count: int, tokens: int) -> None:
        self.progress.advance(count, tokens, computed=tokens > 0)

    def time(self, cells: Sequence[Cell], loaded: Loaded) -> None:
        """Time the timed cells of one task in one interleaved measurement: times of two processes do not mix."""
        evaluator, patches = loaded.evaluator, loaded.patches
        wanted = self.untimed(cells)
        if not wanted:
            return
        from coreheads.timing.cells import time_cells

        settings = self.config.timing
        task = wanted[0].task

        with self.isolate(f"{self.model.name}__{task}__timing", lambda why: self.fail_timing(wanted, why)):
            samples = self.folder.samples(wanted[0].name).samples
            ids = evaluator.task(task).ids
            tokens = {ids.index(record): line["prompt_tokens"] for record, line in samples.items()}
            work = Work("time", self.model.name, task)
            with self._step("timing", task, settings.rounds, "rounds"), self.progress.work(work, settings.rounds):
                timed = [(cell, patches[cell.name][1]) for cell in wanted]
                self.folder.finish_timing(time_cells(evaluator, timed, tokens, settings, self.progress.advance))

    def untimed(self, cells: Sequence[Cell]) -> list[Cell]:
        """Which cells of one task are to be timed, now that they are answered."""
        counts = {name: record["n"] for name, record in self.folder.cells().items()}
        scored = [cell for cell in cells if counts.get(cell.name)]
        return untimed(scored, self.config, self.folder.timings())

    def fail_timing(self, cells: Sequence[Cell], reason: str) -> None:
        """Note why cells have no speed."""
        self.finished.untimed.update(dict.fromkeys((cell.name for cell in cells), reason))
        self.folder.fail_timing(cells, reason)

    @contextmanager
    def isolate(self, name: str, failed: Callable[[str], object]) -> Iterator[None]:
        """Have ``failed(reason)`` told of a fault inside the block, which ends there; its whole text goes to
        errors/<name>.txt. Wrong input (UserError), Ctrl-C, and a disk that cannot be written end the run."""
        from coreheads.adapters.generation.memory import is_out_of_memory, make_room
        from coreheads.run.evaluator import NothingScored

        try:
            yield
            return
        except (OutOfMemory, NothingScored) as error:
            reason = str(error)
        except UserError:
            raise
        except Exception as error:
            if isinstance(error, OSError):
                own = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(self.folder.path)
                if own or error.errno in _SYSTEM:
                    raise
            reason = f"{type(error).__name__}: {one_line(error)}"
            if is_out_of_memory(error):
                reason = f"out of memory ({reason})"
            self.folder.note_error(name, traceback.format_exc())
        make_room()
        failed(reason)

    def fail_all(self, reason: str) -> None:
        """Note that no cell that is left has a score."""
        self.fail([cell for cell in self.cells if cell.name not in self.folder.settled()], reason)

    def fail(self, cells: Sequence[Cell], reason: str) -> None:
        """Note why cells have no score."""
        finished = self.folder.cells()
        self.finished.failed.update(dict.fromkeys((cell.name for cell in cells), reason))
        # what a finished cell had, before it was asked again, stands
        self.folder.fail_cells((cell for cell in cells if cell.name not in finished), reason)

    def _step(self, phase: str, title: str, total: int, unit: str) -> AbstractContextManager[None]:
        return self.progress.step(phase, " ".join(filter(None, (self.model.name, title))), total, unit)

    @contextmanager
    def _profiling(self, task: str, total: int) -> Iterator[Callable[[], object]]:
        """The progress of finding heads on one task; what an interrupted run had scored is only read."""
        fresh = not self.folder.path_of("heads", "partial", f"{task}.jsonl").exists()
        work = Work("profile", self.model.name, task)
        with self._step("profiling", task, total, "samples"), self.progress.work(work, total):
            yield lambda: self.progress.advance(computed=fresh)

    def _note_costs(self, adapter: Adapter) -> None:
        self.progress.costs.note_peak(self.model.name, adapter.devices)
        self.progress.costs.save(self.folder.path)
