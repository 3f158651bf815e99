"""Every answer of a board's rows, sample by sample, with what was asked: ``answers/*.json`` beside the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

from coreheads.files import write_bytes, write_text
from coreheads.leaderboard.merge import Source
from coreheads.opening import inside
from coreheads.report.columns import condition_label
from coreheads.report.html.samples import preferred
from coreheads.store import asked
from coreheads.store.asked import (
    Answer,
    AnsweredBy,
    AnswerFile,
    AskedPicture,
    AskedRecord,
    AskedRegion,
    ShownPicture,
    ShownSample,
)
from coreheads.store.board import Row
from coreheads.store.samples import SampleFile
from coreheads.store.schema import SCHEMA_VERSION, SampleRecord
from coreheads.text import TURNING, file_name, json_text

MOST = 500
"""Samples of a run, model and task in a file, those first that methods answer otherwise than the dense model."""
CHARACTERS = 20_000
"""Of an answer."""
OLD = (
    "This run does not hold what was asked: `coreheads leaderboard RUN --asked` reads it from the benchmark's data, "
    "where that is on the machine."
)
WITHOUT = "The run was published without its answers: what is marked as changed is another score."


def of_sources(sources: Sequence[Source], rows: Sequence[Row]) -> list[tuple[Source, AnswerFile]]:
    """The samples of each run, model and task of a board's rows, in their order; pictures are named as stored."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["run"], row["model"], row["task"]), []).append(row)
    known = {source.label: source for source in sources}
    return [(known[run], _group(known[run], members)) for (run, _, _), members in groups.items()]


def write(found: Sequence[tuple[Source, AnswerFile]], out: Path, site: Path | None = None) -> list[AnswerFile]:
    """Write the files, and copy pictures beside them that lie neither in ``out`` nor in ``site``.

    Args:
        found: See :func:`of_sources`.
        out: The board's folder.
        site: Where the board's folder will be moved to.

    Returns:
        What was written, the pictures' ``src`` as the page finds them.
    """
    folder = inside(out, asked.ANSWERS)
    files = []
    for source, group in found:
        for sample in group["samples"]:
            for picture in sample["pictures"]:
                picture["src"] = _place(source.run.path, picture["src"], out, site)
        shown: AnswerFile = json.loads(json.dumps(group, ensure_ascii=False).translate(TURNING))
        write_text(inside(folder, name_of(group)), json_text(shown, separators=(",", ":")) + "\n")
        files.append(shown)
    return files


def name_of(group: AnswerFile) -> str:
    return f"{file_name('__'.join((group['run'], group['model'], group['task'])))}.json"


def _place(run: Path, name: str, out: Path, site: Path | None) -> str:
    stored = asked.picture_path(run, name)
    for home in (out, site):
        if home is not None and stored.resolve().is_relative_to(home.resolve()):
            return Path(relpath(stored.resolve(), home.resolve())).as_posix()
    copied = inside(out, asked.ANSWERS, asked.PICTURES, name)
    if not copied.exists():
        write_bytes(copied, asked.picture(run, name), sync=False)
    return copied.relative_to(out).as_posix()


def _group(source: Source, rows: Sequence[Row]) -> AnswerFile:
    run, first = source.run, rows[0]
    public = run.manifest.get("published")
    conditions: list[AnsweredBy] = []
    stores: list[SampleFile] = []
    for row in rows:
        label = condition_label(row) + (f", question {row['question']}" if row.get("question") else "")
        for draw, cell in enumerate(row["cells"], 1):
            drawn = draw if row["draws"] is not None else None
            conditions.append({"label": label, "patch": row["patch"], "draw": drawn})
            stores.append(run.samples(cell))
    dense = next((store for by, store in zip(conditions, stores, strict=True) if by["patch"] == "none"), None)
    task = run.cells()[first["cells"][0]]["cell"]["task"]
    records = asked.read(run.path, task)
    notes = [] if records else [OLD]
    answers = public is None or public["responses"]
    if not answers:
        notes.append(WITHOUT)
    ids = list(dict.fromkeys(key for store in stores for key in (*store.samples, *store.unscored)))
    samples = [_sample(key, records.get(key), stores, dense, answers, run.path) for key in ids]
    group: AnswerFile = {
        "schema_version": SCHEMA_VERSION,
        "run": source.label,
        "model": first["model"],
        "task": first["task"],
        "metric": first["metric"],
        "notes": notes,
        "total": len(ids),
        "conditions": conditions,
        "samples": samples,
    }
    group["samples"] = preferred(group)[:MOST]
    if len(samples) > MOST:
        notes.append(f"{MOST} of {len(ids)} samples, those first that a method answers otherwise than the dense model.")
    return group


def _sample(
    key: str,
    record: AskedRecord | None,
    stores: Sequence[SampleFile],
    dense: SampleFile | None,
    answers: bool,
    run: Path,
) -> ShownSample:
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        if len(text) > CHARACTERS:
            text = f"{text[:CHARACTERS]} … ({len(text) - CHARACTERS} more characters)"
        return texts.setdefault(text, len(texts))

    base = None if dense is None else dense.samples.get(key)
    given: list[Answer | None] = []
    for store in stores:
        line = store.samples.get(key)
        if line is not None and answers:
            given.append((number(line["response"]), line["score"], otherwise(line, base)))
        elif line is not None:
            given.append((None, line["score"], base is not None and line["score"] != base["score"]))
        elif key in store.unscored:
            given.append((number(store.unscored[key]), None, base is not None))
        else:
            given.append(None)
    shown: ShownSample = {
        "id": key,
        "question": None,
        "prompt": "",
        "target": None,
        "gold": [],
        "pictures": [],
        "missing": None,
        "texts": list(texts),
        "answers": given,
    }
    if record is not None:
        shown |= {
            "question": record["question"],
            "prompt": record["prompt"],
            "target": record["target"],
            "gold": [_words(region, record["of"]) for region in record["regions"]],
            "pictures": [_picture(picture) for picture in record["pictures"]],
            "missing": record.get("missing"),
        }
        there = [asked.picture_path(run, picture["src"]).is_file() for picture in shown["pictures"]]
        if not all(there):
            shown |= {"pictures": [], "missing": "the run's folder lacks them"}
    return shown


def otherwise(line: SampleRecord, base: SampleRecord | None) -> bool:
    """Whether an answer is another than the dense model's, runs of white space being one blank."""
    return base is not None and line["response"].split() != base["response"].split()


def _picture(picture: AskedPicture) -> ShownPicture:
    return {
        "src": picture["file"],
        "label": picture["label"],
        "width": picture["width"],
        "height": picture["height"],
        "boxes": picture["boxes"],
    }


def _words(region: AskedRegion, of: int) -> str:
    """``picture 3 of 12; x 0.10 to 0.20, y 0.30 to 0.40; 2.0 to 3.5 s``."""
    parts = [f"picture {region['media'] + 1}" + (f" of {of}" if of else "")] if of > 1 or region["media"] else []
    if region["box"] is not None:
        x0, y0, x1, y1 = region["box"]
        parts.append(f"x {x0:.2f} to {x1:.2f}, y {y0:.2f} to {y1:.2f}")
    if region["start"] is not None or region["end"] is not None:
        start = "the beginning" if region["start"] is None else f"{region['start']:.1f}"
        end = "the end" if region["end"] is None else f"{region['end']:.1f} s"
        parts.append(f"{start} to {end}")
    return "; ".join(parts) or "the whole picture"
