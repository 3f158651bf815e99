"""A folder that can be pushed as a static site: the board of all runs published into it, and what it is made of.

index.html               the merged board
leaderboard.*, figures/  the same in other forms
runs/<label>/            each run, as ``coreheads leaderboard`` can read it
history.json             every publication
README.md                the site's front matter; written once, then the user's

What is new is made beside the old, in a hidden folder, and only then moved into place, the page last.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coreheads import environment
from coreheads.errors import UserError
from coreheads.files import read_json, write_json, write_text
from coreheads.leaderboard import build as leaderboard
from coreheads.leaderboard import published_run
from coreheads.leaderboard.redact import Shortener
from coreheads.store.folder import RunFolder
from coreheads.store.lock import locked
from coreheads.text import file_name

SCHEMA_VERSION = 1
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

# {title}

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
) -> dict[str, Any]:
    """Publish runs into the folder ``to``, beside those that are there, and return the merged board.

    A run that is there already is replaced; history.json gets a line for every run. title, license: of the README,
    where there is none yet. responses, pictures: see ``published_run.copy``.

    UserError for a folder that holds something else or that another process publishes into, a run without a finished
    cell, or a run of the folder itself.
    """
    for run in runs:
        if run.path.resolve().is_relative_to(to.resolve()):
            raise UserError(f"{run.path}: lies in {to}, expected a run to publish there, not one that was")
        leaderboard.build([run])
    _history(to)  # whether it may be used is asked before anything is written to it
    to.mkdir(parents=True, exist_ok=True)
    with locked(to, LOCK):
        return _publish(runs, to, title, license, responses, pictures)


def _publish(
    runs: Sequence[RunFolder], to: Path, title: str, license: str, responses: bool, pictures: bool
) -> dict[str, Any]:
    history = _history(to)
    _recover(to)
    there = {path.name: RunFolder.load(path) for path in sorted((to / "runs").glob("*")) if path.is_dir()}
    stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=to))
    try:
        names = _labels(runs, there)
        paths = {}
        for run, name in zip(runs, names, strict=True):
            paths[name] = published_run.copy(run, stage / "runs" / name, responses, pictures)
        every = dict.fromkeys([entry["run"] for entry in history["publications"]], to / "runs")
        every = {name: parent for name, parent in every.items() if name in there}
        every |= dict.fromkeys(there.keys() - every.keys(), to / "runs") | dict.fromkeys(names, stage / "runs")
        board = leaderboard.write([RunFolder.load(parent / name) for name, parent in every.items()], stage)
        command = Shortener([str(Path.home()), str(to.resolve())]).command(environment.command_line())
        for name in names:
            rows = sum(row["run"] == name for row in board["rows"])
            entry = {"date": environment.now(), "run": name, "rows": rows, "replaced": name in there}
            history["publications"].append({**entry, "texts_shortened": paths[name], "command": command})
        write_json(stage / HISTORY, history)
        if not (to / "README.md").exists():
            write_text(stage / "README.md", README.format(title=_yaml(title), license=_yaml(license)))
        _move(stage, to, names)
    finally:
        _recover(to)
    return board


def _history(to: Path) -> dict[str, Any]:
    """The folder's history, a new one where the folder is new or empty. UserError where it holds something else."""
    if to.exists() and not to.is_dir():
        raise UserError(f"{to}: is a file, expected a folder")
    path = to / HISTORY
    if not path.exists():
        others = sorted(entry.name for entry in to.iterdir() if not entry.name.startswith(".")) if to.exists() else []
        if others:
            raise UserError(f"{to}: holds {others[0]} and no {HISTORY}, expected an empty folder or a published one")
        return {"schema_version": SCHEMA_VERSION, "publications": []}
    found = read_json(path)
    known = isinstance(found, dict) and found.get("schema_version") == SCHEMA_VERSION
    entries = found.get("publications") if known else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("run"), str) for e in entries):
        raise UserError(f"{path}: is no history of schema_version {SCHEMA_VERSION}, expected one of coreheads publish")
    return dict(found)


def _labels(runs: Sequence[RunFolder], there: dict[str, RunFolder]) -> list[str]:
    """A name below runs/ for each run: that which it has there already, else its folder's, numbered where taken."""
    known = {published_run.identity(run.manifest): name for name, run in there.items()}
    taken, found = set(there), []
    for run in runs:
        own = published_run.identity(run.manifest)
        if own not in known:
            base = file_name(run.path.resolve().name)
            name = next(n for n in (base, *(f"{base}-{count}" for count in range(2, 10_000))) if n not in taken)
            known[own] = name
            taken.add(name)
        elif known[own] in found:
            raise UserError(f"{run.path}: is given twice, expected every run once")
        found.append(known[own])
    return found


def _move(stage: Path, to: Path, names: Sequence[str]) -> None:
    """Put what was made into place by renaming only; the page comes last."""
    (stage / "old").mkdir()
    (to / "runs").mkdir(exist_ok=True)
    for name in names:
        if (to / "runs" / name).exists():
            os.replace(to / "runs" / name, stage / "old" / name)
        os.replace(stage / "runs" / name, to / "runs" / name)
    drawn = {path.name for path in (stage / "figures").glob("*.png")}
    (to / "figures").mkdir(exist_ok=True)
    for name in drawn:
        os.replace(stage / "figures" / name, to / "figures" / name)
    for path in (to / "figures").glob("*.png"):
        if path.name not in drawn and re.fullmatch(r"(heads|ablation|speed)-\d+\.png", path.name):
            path.unlink()
    for name in ("README.md", HISTORY, "leaderboard.json", "leaderboard.csv", "leaderboard.md"):
        if (stage / name).exists():
            os.replace(stage / name, to / name)
    os.replace(stage / "leaderboard.html", to / "index.html")


def _recover(to: Path) -> None:
    """Bring back the runs that an interrupted publication had set aside, and remove what it had made."""
    for stage in to.glob(f"{STAGE}*"):
        for old in (stage / "old").glob("*"):
            if not (to / "runs" / old.name).exists():
                os.replace(old, to / "runs" / old.name)
        shutil.rmtree(stage, ignore_errors=True)


def _yaml(text: str) -> str:
    """A text as one YAML scalar."""
    import yaml

    shown: str = yaml.safe_dump(" ".join(text.split()), allow_unicode=True, width=10_000)
    return shown.removesuffix("\n...\n").strip()
