"""What is published of a run: all that its part of the board is made of, without the paths of the machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coreheads.errors import UserError
from coreheads.files import read_json, read_jsonl, write_json, write_text
from coreheads.heads.profile import HeadProfile
from coreheads.leaderboard.redact import Shortener
from coreheads.report.example_files import FOLDER as EXAMPLES
from coreheads.store.folder import RunFolder


def copy(run: RunFolder, to: Path, responses: bool = True, pictures: bool = True) -> int:
    """Write the run's published form into the new folder ``to``, a run folder like any other; returns how many texts
    had a path in them that was shortened.

    responses: without them, what models answered is left empty; scores stay, the board is the same. pictures: the
    examples of what heads look at, which show benchmark data.
    """
    short = Shortener(_paths(run))
    manifest = short.value(run.manifest)
    for shown, own in zip(manifest["config"]["models"], run.config["models"], strict=True):
        shown["id"] = short.checkpoint(str(own["id"]))
    manifest["published"] = {
        "of": identity(run.manifest),
        "responses": responses,
        "pictures": pictures,
        "paths": "last part only",
    }
    write_json(to / "manifest.json", manifest)
    _copy_lines(run.path / "cells.jsonl", to / "cells.jsonl", short)
    _copy_lines(run.path / "timings.jsonl", to / "timings.jsonl", short)
    for name in run.cells():
        _copy_lines(run.samples(name).path, to / "samples" / f"{name}.jsonl", short, responses)
    for path in sorted((run.path / "heads").glob("*.json")):
        profile = read_json(path)
        HeadProfile.from_dict(profile, str(path))
        model = profile["model"] | {"id": short.checkpoint(str(profile["model"]["id"]))}
        clean = HeadProfile.from_dict(short.value(profile) | {"model": model}, str(path))
        clean.save(to / "heads" / path.name)
    if pictures:
        for path in sorted((run.path / EXAMPLES).glob("*")):
            (to / EXAMPLES).mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                write_json(to / EXAMPLES / path.name, short.value(read_json(path)))
            elif path.suffix == ".jpg":
                shutil.copyfile(path, to / EXAMPLES / path.name)
    return short.changed


def identity(manifest: dict[str, Any]) -> str:
    """What a run is known by, wherever its folder lies and whatever it is called: a digest of how, when and on which
    machine it was first started. A published run knows that of the run it is the copy of."""
    if "published" in manifest:
        return str(manifest["published"].get("of"))
    first = manifest["invocations"][0]
    config = {name: value for name, value in manifest["config"].items() if name != "out"}
    start = [first["started"], first["machine"], first["command"], config]
    return hashlib.sha256(json.dumps(start, sort_keys=True).encode()).hexdigest()[:16]


def _copy_lines(source: Path, to: Path, short: Shortener, responses: bool = True) -> None:
    lines = []
    for record in read_jsonl(source):
        if not isinstance(record, dict):
            raise UserError(f"{source}: a line is no object, expected a file written by coreheads run")
        clean = short.value(record, keep=("response", "record_id", "name"))
        if not responses and "response" in clean:
            clean["response"] = ""
        lines.append(json.dumps(clean, ensure_ascii=False) + "\n")
    if source.exists():
        write_text(to, "".join(lines))


def _paths(run: RunFolder) -> Iterator[str]:
    """Paths that stand in other texts, too, and may hold blanks."""
    yield from (str(Path.home()), str(Path.cwd()), str(run.path.resolve()))
    for name in ("out", "data_root"):
        if run.config.get(name):
            yield str(run.config[name])
    for model in run.config["models"]:
        yield from (str(model[name]) for name in ("id", "heads") if model.get(name))
