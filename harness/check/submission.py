"""Whether a run that somebody gives for a board is what it says: a line for everything that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coreheads.check import rescoring, submitted_cells, submitted_files
from coreheads.check.integrity import contradictions
from coreheads.errors import UserError
from coreheads.leaderboard.build import build
from coreheads.store import submission
from coreheads.store.folder import RunFolder

LINES = 20
"""Findings of one kind that are told; the others are counted."""


@dataclass(frozen=True)
class Judged:
    """A submission, looked at."""

    findings: tuple[str, ...]
    """One line each: file, field, value, what was expected."""
    summary: str
    """What it holds and how much of it was computed again; empty where there are findings."""


def check_submission(folder: Path, data_root: Path | None = None) -> Judged:
    """Look at a submission; nothing of it is run, and no link is followed.

    Args:
        folder: As ``coreheads publish --submission`` writes it.
        data_root: The folder that holds benchmark data here, see ``rescoring.rescore``.

    Raises:
        UserError: There is no such folder.
    """
    if folder.is_symlink():
        return Judged((f"{folder}: is a link, expected a folder",), "")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected a submission")
    if found := _few(submitted_files.unsafe(folder)):
        return Judged(tuple(found), "")  # what cannot be opened safely is not read
    findings: list[str] = []

    def look(*kinds: Callable[[], Iterable[str]]) -> bool:
        """Whether none of them finds anything; a fault that ends one of them is a finding."""
        before = len(findings)
        for kind in kinds:
            findings.extend(_few(kind()))
        return len(findings) == before

    try:
        run = RunFolder.load(folder)
        if "published" not in run.manifest:
            how = "what coreheads publish RUN --submission FOLDER --who NAME writes of it"
            return Judged((f"{folder}: is a run as it was made, expected {how}",), "")
        config, wanted = submitted_cells.asked(run)
    except UserError as error:
        return Judged((str(error),), "")
    done = rescoring.Rescored()
    sound = look(
        lambda: submitted_cells.settings(run),
        lambda: submitted_files.foreign(run, wanted),
        lambda: submitted_files.private(run),
        lambda: submitted_cells.tasks(run, config),
        lambda: submitted_cells.sources(run, config),
        lambda: _submitter(run),
        lambda: submitted_cells.cells(run, config, wanted),
        lambda: submitted_cells.heads(run, config),
        lambda: (f"{folder}: cell {finding.name}: {finding.text}" for finding in contradictions(run)),
        lambda: submitted_cells.twice(run),
    )
    if sound:
        look(lambda: rescoring.rescore(run, config, data_root, done), lambda: _contents(run))
    if findings:
        return Judged(tuple(dict.fromkeys(findings)), "")
    return Judged((), _summary(run, done))


def _few(lines: Iterable[str]) -> list[str]:
    """The first lines, and how many more there are; what ends them is the last one."""
    found: list[str] = []
    try:
        for line in lines:
            found.append(line)
    except UserError as error:
        found.append(str(error))
    more = len(found) - LINES
    return found if more <= 0 else [*found[:LINES], f"{found[0].partition(':')[0]}: and {more} more of this kind"]


def _submitter(run: RunFolder) -> Iterator[str]:
    if submission.read(run) is None:
        what = "what coreheads publish RUN --submission FOLDER writes"
        yield f"{run.path / submission.FILE}: no such file, expected {what}"


def _contents(run: RunFolder) -> Iterator[str]:
    """What was changed after ``submission.json`` was written."""
    record = submission.read(run)
    said = {} if record is None else record["contents"]
    for part, own in submission.contents(run).items():
        if said.get(part) != own:
            yield f"{run.path / submission.FILE}: contents.{part} is {said.get(part)!r}, the files make {own}"


def _summary(run: RunFolder, done: rescoring.Rescored) -> str:
    board, record = build([run]), submission.read(run)
    tasks = dict.fromkeys(row["task"] for row in board["rows"])
    assert record is not None
    text = f"{len(board['rows'])} rows on {len(tasks)} tasks by {record['who']}, {done.answers:,} answers scored again"
    return text + "".join(f"; not those of {task}: {why}" for task, why in done.left.items())
