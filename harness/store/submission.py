"""``submission.json``: who gives a run to others, and what its other files said then."""

from __future__ import annotations

from typing import Any

from coreheads import environment, limits
from coreheads.files import matching, read_json, read_jsonl
from coreheads.hashing.contents import json_hash
from coreheads.heads.profile import HeadProfile
from coreheads.store import asked
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import Submission, Submitter
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.store.validation import checked

FILE = "submission.json"


def read(run: RunFolder) -> Submission | None:
    """Who submitted the run; None where nobody did."""
    path = run.path_of(FILE)
    if not path.exists():
        return None
    return checked(Submission, read_json(path, limits.STORED_BYTES, run.path), str(path), "a submission", "publish")


def record(by: Submitter, parts: dict[str, str], date: str | None = None) -> Submission:
    """What the file says.

    Args:
        by: Who gives the run; fields that are none of theirs are left aside.
        parts: Of ``contents``.
        date: UTC, ISO 8601; None is now.

    Raises:
        UserError: ``by`` cannot be shown.
    """
    said = {name: by[name] for name in Submitter.__annotations__ if by.get(name) is not None}  # type: ignore[literal-required]
    made: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **said, "date": date or environment.now()}
    return checked(Submission, made | {"contents": parts}, FILE, "a submission", "publish")


def contents(run: RunFolder) -> dict[str, str]:
    """SHA-256 (hex) of what a run's files say, part by part; how they are written does not count."""
    samples = {name: list(read_jsonl(run.samples(name).path, run.path)) for name in run.cells()}
    heads = {path.name: HeadProfile.load(path, run.path).to_dict() for path in matching(run.path_of("heads"), "*.json")}
    told = {path.stem: asked.read(run.path, path.stem) for path in matching(run.path_of(asked.FOLDER), "*.jsonl")}
    return {
        "settings": json_hash(run.config),
        "heads": json_hash(heads),
        "samples": json_hash([list(read_jsonl(run.path_of("cells.jsonl"), run.path)), samples]),
        "asked": json_hash(told),
        "speeds": json_hash(list(read_jsonl(run.path_of("timings.jsonl"), run.path))),
        "code": json_hash(run.manifest.get("made_from")),
    }
