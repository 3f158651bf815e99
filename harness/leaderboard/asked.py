"""Storing what a run was asked, from the benchmarks' data: words, right answers, gold regions and small pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coreheads.errors import UserError, one_line
from coreheads.leaderboard.answers import MOST, otherwise
from coreheads.private import private
from coreheads.report import shown
from coreheads.report.html.samples import standing
from coreheads.store import asked
from coreheads.store.asked import AskedRecord
from coreheads.store.folder import RunFolder
from coreheads.store.schema import SCHEMA_VERSION, CellRecord
from coreheads.tasks import registry
from coreheads.tasks.reading.contents import fingerprints
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.task import Task

PICTURED = 64
"""Records of a task whose pictures are stored, those first that methods answer otherwise than the dense model."""
CHARACTERS = 4000
"""Of a prompt's words."""
FAMILY = "qwen3_vl"
"""In whose coordinates boxes are written where the run does not say what its models are."""


def store(run: RunFolder, say: Callable[[str], object], check: bool = False) -> None:
    """Store what was asked of each task that the run has not stored; a task that cannot be read costs a line.

    Args:
        run: A run with finished cells.
        say: Told in a line of what cannot be read.
        check: Compare the records with those that the run was made from: they may have changed since.
    """
    for name, ids in _wanted(run).items():
        known = asked.read(run.path, name)
        if all(record in known for record in ids):
            continue
        try:
            _store(run, registry.get(name), ids, check)
        except Exception as error:  # a picture is not worth a run, whatever is wrong with it
            say(f"{name}: what was asked is not kept for the page ({one_line(error)})")


def _wanted(run: RunFolder) -> dict[str, list[str]]:
    """By task the records that were asked, as a page shows them: those first that methods answer otherwise."""
    groups: dict[str, dict[str, list[CellRecord]]] = {}
    for record in run.cells().values():
        groups.setdefault(record["cell"]["task"], {}).setdefault(record["cell"]["model"], []).append(record)
    return {
        task: list(dict.fromkeys(record for cells in models.values() for record in _ordered(run, cells)))
        for task, models in groups.items()
    }


def _ordered(run: RunFolder, cells: Sequence[CellRecord]) -> list[str]:
    stores = [run.samples(record["name"]) for record in cells]
    patches = [(record["cell"]["patch"], record["cell"]["draw"] is not None) for record in cells]
    dense = next((store.samples for store, (patch, _) in zip(stores, patches, strict=True) if patch == "none"), {})

    def key(record: str) -> tuple[int, int]:
        lines = [store.samples.get(record) for store in stores]
        return standing(patches, [line is not None and otherwise(line, dense.get(record)) for line in lines])

    ids = dict.fromkeys(record for store in stores for record in (*store.samples, *store.unscored))
    return sorted(ids, key=key)[:MOST]


def _store(run: RunFolder, task: Task, ids: Sequence[str], check: bool) -> None:
    config: Mapping[str, Any] = run.config
    split = (config.get("evaluate") or {}).get("split") or "test"
    options, family = (config.get("options") or {}).get(task.name), _family(run)
    docs = task.records(split, None, config.get("data_root"), family=family or FAMILY, options=options)
    by_id = {task.record_id(doc): doc for doc in docs}
    if lost := [record for record in ids if record not in by_id]:
        raise UserError(f"record {lost[0]!r} is not in split {split}")
    if check:
        _check(run, task, split, [by_id[record] for record in ids])
    records = [_record(run, task, by_id[record], place < PICTURED) for place, record in enumerate(ids)]
    if family is None and task.by_family:
        records = [{**record, "prompt": ""} for record in records]
    asked.write(run.path, task.name, records)


def _check(run: RunFolder, task: Task, split: str, docs: Sequence[Doc]) -> None:
    """UserError where the data here is not what the run was asked."""
    made_from = run.manifest.get("made_from")
    sources = made_from["tasks"].get(task.name) if made_from else None
    stored = sources["records"].get(split) if sources else None
    if not stored:
        raise UserError("the run does not say by a hash what it was asked, so that the data here may be other")
    now = fingerprints(docs, task.functions().media)
    if other := [record for record, mark in now.items() if stored.get(record) not in (None, mark)]:
        raise UserError(f"record {other[0]!r} is another one here than the run was asked")


def _family(run: RunFolder) -> str | None:
    for model in run.config["models"]:
        for score in run.scores:
            if (profile := run.profile(model["name"], score)) is not None:
                return profile.model["model_type"]
    return None


def _record(run: RunFolder, task: Task, doc: Doc, pictured: bool) -> AskedRecord:
    """One record; what cannot be read of it is left empty, and ``missing`` says why."""
    record: AskedRecord = {
        "schema_version": SCHEMA_VERSION,
        "record_id": task.record_id(doc),
        "question": "",
        "prompt": "",
        "target": None,
        "regions": [],
        "pictures": [],
        "of": 0,
        "missing": None
        if pictured
        else f"the pictures of {PICTURED} other samples are kept, whose answers differ more",
    }
    try:
        record["question"] = task.query(doc)
        record["target"] = task.answer(doc)
        regions = task.regions(doc)
        record["regions"] = [
            {
                "media": region.media,
                "box": None if region.box is None else [float(edge) for edge in region.box],
                "start": None if region.start is None else float(region.start),
                "end": None if region.end is None else float(region.end),
            }
            for region in regions
        ]
        if pictured:
            messages = task.messages(doc)
            record["prompt"] = _words(messages)
            record["of"] = len(shown.parts(messages))
            for one in shown.pictures(messages, regions):
                data, width, height = shown.jpeg(one.image)
                name, boxes = asked.store_picture(run.path, data), [list(box) for box in one.boxes]
                if any(name == before["file"] and boxes == before["boxes"] for before in record["pictures"]):
                    continue  # a frame in which nothing has moved
                record["pictures"].append(
                    {"file": name, "label": one.label, "width": width, "height": height, "boxes": boxes}
                )
    except UserError as error:
        record["missing"] = private(one_line(error))
    return record


def _words(messages: Sequence[Mapping[str, Any]]) -> str:
    """A prompt's words, with a mark where pictures are."""
    said: list[str] = []
    for part in (part for turn in messages for part in turn["content"]):
        word = part["text"] if part["type"] == "text" else f"[{part['type']}]"
        if part["type"] == "text" or said[-1:] != [word]:
            said.append(word)
    text = "\n".join(said)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} …"
