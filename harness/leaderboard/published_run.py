"""What is published of a run: all that its part of the board is made of, without the paths of the machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from coreheads import limits
from coreheads.files import matching, read_json, read_jsonl, write_bytes, write_json, write_text
from coreheads.heads.profile import HeadProfile
from coreheads.leaderboard.redact import Shortener
from coreheads.private import private_value
from coreheads.report.example_files import FOLDER as EXAMPLES
from coreheads.report.example_files import picture, stored
from coreheads.store import asked, submission
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import Manifest, Published, Submitter
from coreheads.tasks import registry
from coreheads.text import json_text

NOT_OURS = "its benchmark's licence does not let everybody pass them on"
NOT_WANTED = "the run was published without pictures"
"""Why pictures are missing, as the page says it."""


def copy(run: RunFolder, to: Path, responses: bool = True, pictures: bool = True, by: Submitter | None = None) -> int:
    """Write the run's published form into the new folder ``to``, a run folder like any other.

    Args:
        run: The run.
        to: The new folder.
        responses: Without them, what models answered is left empty; scores stay, the board is the same but for
            ``loyalty``.
        pictures: The examples of what heads look at, and what was asked about, of tasks whose licence allows it.
        by: Who submits the run; None is who did so before, if anybody.

    Returns:
        How many texts had a path in them that was shortened.
    """
    short = Shortener(_paths(run))
    manifest = short.value(private_value(run.manifest), keep=("made_from",))  # hashes, by records' ids
    for shown, own in zip(manifest["config"]["models"], run.config["models"], strict=True):
        shown["id"] = short.checkpoint(own["id"])
    published: Published = {
        "of": identity(run.manifest),
        "responses": responses,
        "pictures": pictures,
        "paths": "last part only",
    }
    write_json(to / "manifest.json", manifest | {"published": published})
    cells = run.cells()  # which checks every line that is copied
    run.timings()
    for path in (run.path / "cells.jsonl", run.path / "timings.jsonl", *(run.samples(name).path for name in cells)):
        if path.exists():
            lines = [
                short.value(record, keep=("response", "record_id", "name")) for record in read_jsonl(path, run.path)
            ]
            if not responses:
                lines = [line | {"response": ""} if "response" in line else line for line in lines]
            text = "".join(json_text(line) + "\n" for line in lines)
            write_text(to / path.relative_to(run.path), text)
    for path in matching(run.path_of("heads"), "*.json"):
        profile = HeadProfile.load(path, run.path).to_dict()
        model = profile["model"] | {"id": short.checkpoint(profile["model"]["id"])}
        HeadProfile.from_dict(short.value(profile) | {"model": model}, str(path)).save(to / "heads" / path.name)
    for example, path in stored(run.path) if pictures else ():
        if _may_be_passed_on(example.task):
            write_json(
                to / EXAMPLES / f"{path.stem}.json",
                short.value(read_json(path.with_suffix(".json"), limits.STORED_BYTES, run.path)),
            )
            write_bytes(to / EXAMPLES / path.name, picture(path))
    for task in dict.fromkeys(record["cell"]["task"] for record in cells.values()):
        _copy_asked(run, task, to, pictures, short)
    before = submission.read(run)
    if (who := by or before) is not None:
        date = before["date"] if before is not None and by is None else None
        write_json(to / submission.FILE, submission.record(who, submission.contents(RunFolder.load(to)), date))
    return short.changed


def _copy_asked(run: RunFolder, task: str, to: Path, pictures: bool, short: Shortener) -> None:
    """What was asked: words in any case, pictures where they may be passed on."""
    records = asked.read(run.path, task)
    why = None if pictures and _may_be_passed_on(task) else NOT_OURS if pictures else NOT_WANTED
    for record in records.values():
        if record.get("missing"):
            record["missing"] = short.text(str(record["missing"]))
        if why is not None and record["pictures"]:
            record["pictures"], record["missing"] = [], why
        for shown in record["pictures"]:
            if (path := asked.picture_path(run.path, shown["file"])).is_file():
                asked.store_picture(to, asked.picture(run.path, path.name))
    if records:
        asked.write(to, task, records.values())


def _may_be_passed_on(task: str) -> bool:
    """Whether the licence of a task's pictures lets everybody pass them on."""
    return task in registry.names() and bool(registry.get(task).media_licence)


def identity(manifest: Manifest) -> str:
    """What a run is known by, wherever its folder lies and whatever it is called: a digest of how, when and on which
    machine it was first started. A published run knows that of the run it is the copy of."""
    if "published" in manifest:
        return manifest["published"]["of"]
    first = manifest["invocations"][0]
    config = {name: value for name, value in manifest["config"].items() if name != "out"}
    start = [first["started"], first["machine"], first["command"], config]
    return hashlib.sha256(json.dumps(start, sort_keys=True).encode()).hexdigest()[:16]


def _paths(run: RunFolder) -> Iterator[str]:
    """Paths that stand in other texts, too, and may hold blanks."""
    yield from (str(Path.home()), str(Path.cwd()), str(run.path.resolve()))
    yield from (str(run.config[name]) for name in ("out", "data_root") if run.config.get(name))
    for model in run.config["models"]:
        yield from (str(model[name]) for name in ("id", "heads") if model.get(name))
