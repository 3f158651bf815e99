"""How long a run may still take: once a tenth of it is over, within a factor of 1.5 of what it takes, by a clock that
moves as recorded runs went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from coreheads.config.cells import expand
from coreheads.config.schema import RunConfig, default_path, load_config
from coreheads.files import write_json
from coreheads.run.costs import FILE, Costs, Work, foreseen
from coreheads.run.plan import left_to_do
from coreheads.run.progress import RunProgress

FACTOR, BATCH = 1.5, 16
MINI = "coreheads_mini_"
TASKS = ("refcocog", "vidstg", "mmdocir", "mlvu", "mmlongbench_doc")
# a short run on a busy machine: seconds an answer, by patch and task, a profiled sample and a round of timing
ANSWERS: dict[str, tuple[float, ...]] = {
    "none": (0.069, 0.083, 0.034, 0.120, 0.495),
    "ablate": (0.035, 0.068, 0.025, 0.104, 0.351),
    "hybrid": (0.036, 0.051, 0.022, 0.063, 0.132),
    "cdpruner": (0.053, 0.144, 0.079, 0.311, 1.290),
    "dart": (0.048, 0.119, 0.062, 0.243, 1.091),
    "random": (0.050, 0.104, 0.064, 0.231, 1.034),
    "snapkv": (0.069, 0.229, 0.178, 0.738, 2.831),
}
ELSEWHERE: dict[str, tuple[float, ...]] = {
    "none": (0.045, 0.103, 0.043, 0.174, 0.267),
    "ablate": (0.034, 0.077, 0.033, 0.113, 0.269),
    "hybrid": (0.031, 0.055, 0.023, 0.060, 0.096),
    "cdpruner": (0.047, 0.135, 0.095, 0.338, 1.199),
    "dart": (0.044, 0.118, 0.082, 0.278, 1.057),
    "random": (0.047, 0.117, 0.079, 0.272, 0.995),
    "snapkv": (0.075, 0.280, 0.230, 0.714, 2.621),
}
PROFILES = (0.093, 0.239, 0.222, 0.769)
ROUNDS = {"mlvu": 5.2, "mmlongbench_doc": 13.6}


def recorded(work: Work) -> float:
    """Seconds a unit in the run that is replayed."""
    if work.kind == "load":
        return 5.0
    task = work.task.removeprefix(MINI)
    if work.kind == "time":
        return ROUNDS[task]
    return (PROFILES if work.kind == "profile" else ANSWERS[work.patch])[TASKS.index(task)]


class Clock:
    now = 0.0


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr("coreheads.run.progress.time.monotonic", lambda: clock.now)
        yield clock


def by_kind(progress: RunProgress) -> dict[str, float]:
    """Seconds that are foreseen, of the whole and by kind."""
    whole = progress.left
    found = {"": progress.foreseen()[0]}
    for kind in ("answer", "time"):
        progress.left = {work: units for work, units in whole.items() if work.kind == kind}
        found[kind] = progress.foreseen()[0]
    progress.left = whole
    return found


def replay(
    config: RunConfig, clock: Clock, like: Costs | None, paces: Mapping[str, float], seed: int = 0
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """(seconds that are over, seconds foreseen), of the whole and by kind, after every eighth batch of a run."""
    rng, number, seen = np.random.default_rng(seed), count(), []
    over = dict.fromkeys(("", "answer", "time", "profile", "load"), 0.0)
    progress = RunProgress(shown=False, costs=Costs("here", like=like))
    progress.expect(left_to_do(config, expand(config), None))
    for work, units in list(progress.left.items()):
        left = int(units or 0)
        with progress.step(work.kind, work.task, left), progress.work(work, left):
            while left:
                batch = min(left, BATCH if work.kind == "answer" else 1)
                spent = batch * recorded(work) * paces[work.task] * rng.uniform(0.7, 1.3)
                clock.now += spent
                over[""] += spent
                over[work.kind] += spent
                progress.advance(batch)
                left -= batch
                if next(number) % 8 == 0:
                    seen.append((dict(over), by_kind(progress)))
    return [*seen, (over, by_kind(progress))]


def worst(seen: list[tuple[dict[str, float], dict[str, float]]], kind: str) -> float:
    """The largest factor between what was foreseen and what it took, from a tenth of it on until little is left."""
    total = seen[-1][0]
    factors = []
    for over, expected in seen:
        if over[""] >= 0.1 * total[""] and 0.1 * total[kind] <= over[kind] <= 0.95 * total[kind]:
            true = total[kind] - over[kind]
            factors.append(max(expected[kind] / true, true / expected[kind]) if expected[kind] else math.inf)
    return max(factors)


EVEN = dict.fromkeys(["", *(MINI + task for task in TASKS)], 1.0)
KINDS = ("", "answer", "time")


@pytest.fixture(scope="module")
def elsewhere() -> Costs:
    """A whole run on another machine, whose tasks and patches have other costs by up to two thirds."""
    known = Costs("elsewhere")
    for patch, seconds in ELSEWHERE.items():
        for task, own in zip(TASKS, seconds, strict=True):
            known.add(Work("answer", "tiny", MINI + task, patch), own, 1)
    for task, own in zip(TASKS, (0.074, 0.238, 0.206, 0.886), strict=False):
        known.add(Work("profile", "tiny", MINI + task), own, 1)
    known.add(Work("time", "tiny", MINI + "mlvu"), 5.8, 1)
    known.add(Work("time", "tiny", MINI + "mmlongbench_doc"), 14.1, 1)
    return known


@pytest.mark.parametrize("short", [None, 8])
def test_the_first_embedded_run_on_a_machine(clock: Clock, elsewhere: Costs, short: int | None) -> None:
    seen = replay(load_config(limit=short), clock, elsewhere, EVEN)
    assert {kind: worst(seen, kind) < FACTOR for kind in KINDS} == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize("seed", range(4))
def test_machines_of_any_pace(clock: Clock, elsewhere: Costs, seed: int) -> None:
    """Tasks need not be slower by one factor: threads help long prompts more than short ones."""
    rng = np.random.default_rng(seed)
    paces = {name: float(10 ** (seed - 1.5) * rng.uniform(0.9, 1.1)) for name in EVEN}
    seen = replay(load_config(), clock, elsewhere, paces, seed)
    assert {kind: worst(seen, kind) < FACTOR for kind in KINDS} == dict.fromkeys(KINDS, True)


def test_without_another_run_unequal_tasks_are_not_foreseen(clock: Clock) -> None:
    """What the other runs are good for."""
    assert worst(replay(load_config(), clock, None, EVEN), "") > 2


def test_a_measurement_is_foreseen_from_its_own_rounds(clock: Clock) -> None:
    progress, work = RunProgress(shown=False), Work("time", "m", "t")
    progress.expect({work: 12})
    with progress.step("timing", "m t", 12, "rounds"), progress.work(work, 12):
        for done in range(1, 12):
            clock.now += 20 if done == 1 else 14
            progress.advance()
            assert progress.foreseen()[0] == pytest.approx(14 * (12 - done), rel=FACTOR - 1)


def test_every_work_of_the_embedded_run_is_foreseen() -> None:
    shipped = Costs.load(default_path().parent)
    assert shipped is not None
    left = left_to_do(load_config(), expand(load_config()), None)
    assert {work[:4] for work in left} <= shipped.spent.keys()
    assert foreseen(Path("nowhere/run"), "cpu", ["tiny"], []).like == shipped


def test_a_run_beside_on_this_machine_goes_before(tmp_path: Path) -> None:
    here = foreseen(tmp_path / "run", "cpu", ["m"], ["t"]).machine
    spent = [{"kind": "answer", "model": "m", "task": "t", "patch": "none", "seconds": 6.0, "units": 3.0}]
    content = {"schema_version": 1, "machine": here, "spent": spent, "peak_bytes": {}}
    (tmp_path / "other").mkdir()
    write_json(tmp_path / "other" / FILE, content)
    known = foreseen(tmp_path / "run", "cpu", ["m"], ["t"])
    assert known.like is not None
    assert known.like.source == tmp_path / "other"
    assert (known.pace("answer"), known.rate(Work("answer", "m", "t", "none"))) == (1.0, 2.0)
    known.add(Work("answer", "m", "t", "none"), 10.0, 1)
    assert (known.pace("answer"), known.rate(Work("answer", "m", "t", "dart"))) == (5.0, 10.0)
    embedded = known.like.like
    assert embedded is not None
    timing = Work("time", "tiny", MINI + "mmlongbench_doc")
    same = Work("answer", "tiny", MINI + "mlvu", "none")
    known.like.add(same, 3 * (embedded.rate(same) or 0), 1)  # that run was three times as slow as the embedded one
    assert known.rate(timing) == pytest.approx(5 * 3 * (embedded.rate(timing) or 0)), "it timed nothing"
    write_json(tmp_path / "other" / FILE, content | {"machine": "another"})
    assert foreseen(tmp_path / "run", "cpu", ["m"], ["t"]).rate(Work("answer", "m", "t", "none")) is None
