"""A folder that can be pushed as a static site: index.html, leaderboard.* and figures/ are the board of all runs that
were published into it, which lie in runs/; history.json lists every publication, README.md is written once, then the
user's. What is new is made in a hidden folder beside the old and then moved into place, the page last."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from coreheads import environment, limits
from coreheads.errors import UserError
from coreheads.files import matching, read_json, write_json, write_text
from coreheads.leaderboard import build as leaderboard
from coreheads.leaderboard import published_run
from coreheads.leaderboard.redact import Shortener
from coreheads.opening import inside
from coreheads.store.board import Board
from coreheads.store.folder import RunFolder
from coreheads.store.lock import locked
from coreheads.store.provenance import History
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.store.validation import checked
from coreheads.text import file_name, markdown

STAGE = ".coreheads-publish-"
LOCK = ".coreheads-publish"
HISTORY = "history.json"
README = """---
title: {title}
emoji: 🎯
colorFrom: blue
colorTo: red
sdk: static
app_file: index.html
pinned: false
license: {license}
---

# {heading}

Accuracy against speedup of multimodal LLMs whose retrieval heads keep full attention: open `index.html`, or read
`leaderboard.md`. `runs/` holds what every row was computed from, `history.json` when it was published. Made by
`coreheads publish`.
"""


def publish(
    runs: Sequence[RunFolder],
    to: Path,
    title: str = "CoRe heads leaderboard",
    license: str = "apache-2.0",
    responses: bool = True,
    pictures: bool = True,
) -> Board:
    """Publish runs into a folder, beside those that are there; a run that is there already is replaced.

    Args:
        runs: The runs.
        to: A new or empty folder, or one that was published into.
        title: Of the README, where there is none yet.
        license: Of the README, where there is none yet.
        responses: See ``published_run.copy``.
        pictures: See ``published_run.copy``.

    Returns:
        The merged board.

    Raises:
        UserError: The folder holds something else, links in the places of what is published, or another process
            publishes into it; a run has no finished cell, or is one of the folder itself.
    """
    for run in runs:
        if run.path.resolve().is_relative_to(to.resolve()):
            raise UserError(f"{run.path}: lies in {to}, expected a run to publish there, not one that was")
        leaderboard.build([run])
    _history(to)  # whether it may be used is asked before anything is written to it
    to.mkdir(parents=True, exist_ok=True)
    with locked(to, LOCK):
        _recover(to)
        history = _history(to)
        there = {path.name: RunFolder.load(path) for path in _published(to) if path.is_dir()}
        stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=to))
        try:
            names = _labels(runs, there)
            shortened = [
                published_run.copy(run, stage / "runs" / name, responses, pictures)
                for run, name in zip(runs, names, strict=True)
            ]
            order = dict.fromkeys([*(entry["run"] for entry in history["publications"]), *there, *names])
            folders = [(stage if name in names else to) / "runs" / name for name in order if name in (*there, *names)]
            board = leaderboard.write([RunFolder.load(folder) for folder in folders], stage, to)
            for name, texts in zip(names, shortened, strict=True):
                history["publications"].append(
                    {
                        "date": environment.now(),
                        "run": name,
                        "rows": sum(row["run"] == name for row in board["rows"]),
                        "replaced": name in there,
                        "texts_shortened": texts,
                        "command": Shortener([str(Path.home()), str(to.resolve())]).command(environment.command_line()),
                    }
                )
            write_json(stage / HISTORY, history)
            if not (to / "README.md").exists():
                words = {"title": _yaml(title), "license": _yaml(license), "heading": markdown(title)}
                write_text(stage / "README.md", README.format(**words))
            _move(stage, to, names)
        finally:
            _recover(to)
    return board


def _history(to: Path) -> History:
    """The folder's history, a new one where the folder is new or empty. UserError where it holds something else, or
    a link in a place that is written to or moved from."""
    if to.exists() and not to.is_dir():
        raise UserError(f"{to}: is a file, expected a folder")
    path = inside(to, HISTORY)
    _published(to)
    inside(to, "figures")
    for stage in _stages(to):
        inside(to, stage.name, "old")
    if path.exists():
        return checked(History, read_json(path, limits.STORED_BYTES, to), str(path), "a history", "publish")
    others = sorted(entry.name for entry in to.iterdir() if not entry.name.startswith(".")) if to.exists() else []
    if others:
        raise UserError(f"{to}: holds {others[0]} and no {HISTORY}, expected an empty folder or a published one")
    return {"schema_version": SCHEMA_VERSION, "publications": []}


def _published(to: Path) -> list[Path]:
    """What lies in runs/; UserError for a link in a run's place: it would be read, moved or replaced elsewhere."""
    return [inside(to, "runs", path.name) for path in matching(inside(to, "runs"), "*")]


def _stages(to: Path) -> list[Path]:
    """What interrupted publications have left."""
    return [path for path in to.glob(f"{STAGE}*") if path.is_dir() or path.is_symlink()]


def _labels(runs: Sequence[RunFolder], there: dict[str, RunFolder]) -> list[str]:
    """A name below runs/ for each run: that which it has there already, else its folder's, numbered where taken."""
    known = {published_run.identity(run.manifest): name for name, run in there.items()}
    labels: list[str] = []
    for run in runs:
        base, taken = file_name(run.path.resolve().name), {*there, *labels}
        free = (name for name in (base, *(f"{base}-{count}" for count in range(2, 10_000))) if name not in taken)
        label = known.setdefault(published_run.identity(run.manifest), next(free))
        if label in labels:
            raise UserError(f"{run.path}: is given twice, expected every run once")
        labels.append(label)
    return labels


def _move(stage: Path, to: Path, names: Sequence[str]) -> None:
    """Put what was made into place by renaming only; the page comes last."""
    (stage / "old").mkdir()
    (to / "runs").mkdir(exist_ok=True)
    for name in names:
        if (to / "runs" / name).exists():
            os.replace(to / "runs" / name, stage / "old" / name)
        os.replace(stage / "runs" / name, to / "runs" / name)
    drawn = {path.name for path in matching(stage / "figures", "*.png")}
    (to / "figures").mkdir(exist_ok=True)
    for name in drawn:
        os.replace(stage / "figures" / name, to / "figures" / name)
    for path in matching(to / "figures", "*.png"):
        if (
            path.is_file()
            and path.name not in drawn
            and re.fullmatch(r"(heads|ablation|speed|overall|work|cache)-\d+\.png", path.name)
        ):
            path.unlink()
    for name in ("README.md", HISTORY, "leaderboard.json", "leaderboard.csv", "leaderboard.md"):
        if (stage / name).exists():
            os.replace(stage / name, to / name)
    os.replace(stage / "leaderboard.html", to / "index.html")


def _recover(to: Path) -> None:
    """Bring back the runs that an interrupted publication had set aside, and remove what it had made."""
    for stage in _stages(to):
        for old in matching(inside(to, stage.name, "old"), "*"):
            if not (to / "runs" / old.name).exists():
                os.replace(old, to / "runs" / old.name)
        shutil.rmtree(stage, ignore_errors=True)


def _yaml(text: str) -> str:
    """A text as one YAML scalar."""
    import yaml

    shown: str = yaml.safe_dump(" ".join(text.split()), allow_unicode=True, width=10_000)
    return shown.removesuffix("\n...\n").strip()
