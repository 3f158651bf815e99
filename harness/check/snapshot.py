"""A run as a baseline: its scores and answers, heads, relative speeds, and what it was asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from coreheads.check.baseline import AskedRecord, Baseline, CellRecord, HeadsRecord, Matrix, SpeedRecord, abbreviated
from coreheads.check.settings import settings_of
from coreheads.check.tolerances import Tolerances
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.heads.profile import Scores
from coreheads.heads.types import head_name, profile_name
from coreheads.private import private_command_line, private_value
from coreheads.retrieval.fingerprint import records_hash
from coreheads.stats.bootstrap import ratio_of_medians_ci
from coreheads.store.folder import RunFolder
from coreheads.store.schema import TimingRecord
from coreheads.timing.speedup import measured_together


def snapshot(run: RunFolder, tolerances: Tolerances | None = None, whole: bool = True) -> Baseline:
    """What a run is compared by.

    Args:
        run: The run.
        tolerances: None is the usual ones.
        whole: Refuse cells that have fewer samples than they say; else take those that are there.

    Raises:
        UserError: The run has no finished cell with a scored sample.
    """
    timings = run.timings()
    answered = run.manifest["published"]["responses"] if "published" in run.manifest else True
    cells = {}
    for name, record in run.cells().items():
        store = run.samples(name, whole)
        if not store.samples:
            continue  # a draw of which no sample could be scored
        cell, kept = Cell.from_json(record["cell"]), record.get("kv_bytes_ratio")
        timing = measured_together(cell, timings).get(name)
        cells[name] = CellRecord(
            condition=condition(cell),
            metric=record["metric"],
            variant=record.get("variant"),
            aggregates={key: _short(value) for key, value in (record.get("aggregates") or {}).items()},
            kv_bytes_ratio=None if kept is None else _short(kept),
            speed=None if timing is None else _speed(timing),
            asked=AskedRecord(
                model=cell.model,
                selection=cell.selection,
                fraction=cell.fraction,
                head_score=cell.head_score,
                seed=cell.seed,
                limit=cell.limit,
                heads=tuple(head_name((layer, head)) for layer, head in record["heads"]),
                unscored=tuple(store.unscored),
            ),
            samples={
                key: (
                    round(float(line["score"]), 6),
                    abbreviated(line["response"]) if answered else None,
                    line.get("margin"),
                )
                for key, line in store.samples.items()
            },
        )
    if not cells:
        raise UserError(f"{run.path}: no finished cell, nothing to compare with")
    session = run.manifest["invocations"][-1]
    return Baseline(
        made_by=private_command_line(session["command"]),
        versions=session["versions"],
        tolerances=tolerances or Tolerances(),
        settings=settings_of(private_value(run.config)),
        made_from=run.manifest.get("made_from"),
        heads=_heads(run),
        cells=cells,
    )


def condition(cell: Cell) -> str:
    """What the model was made into, as text: equal for all tasks, and for all draws of one control."""
    return replace(cell, task="all", draw=None).name


def _speed(timing: TimingRecord) -> SpeedRecord:
    times = timing["times"]
    speedup, low, high = ratio_of_medians_ci(times["dense"]["prefill"], times["patched"]["prefill"])
    return SpeedRecord(speedup=_short(speedup), low=_short(low), high=_short(high))


def _heads(run: RunFolder) -> dict[str, HeadsRecord]:
    records = {}
    for model, score in product(run.config["models"], run.scores):
        profile = run.profile(model["name"], score)
        if profile is not None:
            # without an interval a head is exact
            low, high = (profile.mean if ends is None else ends for ends in (profile.ci_low, profile.ci_high))
            hashes = [task["records_hash"] for task in profile.tasks.values()]
            records[profile_name(model["name"], score)] = HeadsRecord(
                mean=_matrix(profile.mean),
                ci_low=_matrix(low),
                ci_high=_matrix(high),
                records=records_hash(hashes) if hashes else None,
            )
    return records


def _matrix(scores: Scores) -> Matrix:
    return tuple(tuple(_short(value) for value in row) for row in scores.tolist())


def _short(value: float) -> float:
    return float(f"{value:.5g}")
