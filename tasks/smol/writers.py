"""The printed documents in three benchmarks' file formats: ``write_<format>(folder, split, documents)``."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from coreheads.files import write_json, write_text
from coreheads.regions import Region
from coreheads.tasks.mini.writers.media import png, write_mp4, write_pdf
from coreheads.tasks.mlvu.data import REGIONS
from coreheads.tasks.smol.print import CELL, SIDE, print_document
from coreheads.tasks.smol.world import Document, Fact, values_of

DPI = 144
POINTS = 72 / DPI
"""Of a PDF point a pixel."""

OPTIONS = 4
KIND = "8_slides"
"""MLVU's name of the kind of task: a file of questions, a folder of videos."""

Documents = Iterable[tuple[str, Document]]
"""Each with a name."""


def write_mmlongbench_doc(folder: Path, split: str, documents: Documents) -> None:
    """MMLongBench-Doc: PDFs and samples.json; the facts' boxes as MMDocIR annotates layouts."""
    samples: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for name, document in documents:
        pages, where = print_document(document)
        write_pdf(folder / split / "data/documents" / f"{name}.pdf", pages, DPI)
        for fact in document.facts:
            numbers = sorted({region.media + 1 for region in where[fact]})
            samples.append(
                {
                    "doc_id": f"{name}.pdf",
                    "doc_type": "Printed",
                    "question": fact.question,
                    "answer": fact.value,
                    "evidence_pages": str(numbers),
                    "evidence_sources": "['Pure-text (Plain-text)']",
                    "answer_format": "Int" if fact.value.isdigit() else "Str",
                }
            )
        questions = [_annotated(fact, where[fact]) for fact in document.facts]
        lines.append(
            {"doc_name": f"{name}.pdf", "domain": "Printed", "page_indices": [], "layout_indices": []}
            | {"questions": questions}
        )
    write_json(folder / split / "data/samples.json", samples)
    write_text(folder / split / "MMDocIR_annotations.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))


def _annotated(fact: Fact, regions: list[Region]) -> dict[str, Any]:
    """A question as MMDocIR annotates it: a layout a printed line."""
    side = SIDE * CELL * POINTS
    layouts = [
        {
            "page": region.media,
            "page_size": [side, side],
            "bbox": [round(value * side, 6) for value in region.box or (0, 0, 1, 1)],
        }
        for region in regions
    ]
    pages = sorted({region.media for region in regions})
    return {"Q": fact.question, "A": fact.value, "page_id": pages, "type": "['Text']", "layout_mapping": layouts}


def write_mmlongbench(folder: Path, split: str, documents: Documents) -> None:
    """MMLongBench: document questions (mmlongdoc) over pages as PNG; regions are whole pages, as officially."""
    lines: list[dict[str, Any]] = []
    for name, document in documents:
        pages, where = print_document(document)
        paths = [f"mmlongdoc/{name}/{name}_page{number}.png" for number in range(len(pages))]
        for path, page in zip(paths, pages, strict=True):
            target = folder / split / "mmlb_image" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(png(page))
        for number, fact in enumerate(document.facts):
            lines.append(
                {
                    "id": f"{name}-{number}",
                    "doc_name": name,
                    "question": fact.question,
                    "answer": fact.value,
                    "answer_format": "Integer" if fact.value.isdigit() else "String",
                    "ans_page_list": sorted({region.media for region in where[fact]}),
                    "page_list": paths,
                }
            )
    asked = folder / split / "mmlb_data/documentQA/mmlongdoc_K8.jsonl"
    asked.parent.mkdir(parents=True, exist_ok=True)
    write_text(asked, "".join(f"{json.dumps(line)}\n" for line in lines))


def write_mlvu(folder: Path, split: str, documents: Documents) -> None:
    """MLVU: a video of slides, a second each; four options of the asked relation, of which no other is in the video."""
    records: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    for name, document in documents:
        pages, where = print_document(document)
        write_mp4(folder / split / "video" / KIND / f"{name}.mp4", pages, 1, 1)
        rng = random.Random(f"{split} {name} options")
        for fact, options in zip(document.facts, _options(document, split, rng), strict=True):
            records.append(
                {
                    "video": f"{name}.mp4",
                    "duration": float(len(pages)),
                    "question": fact.question,
                    "candidates": options,
                    "answer": fact.value,
                    "question_type": "slides",
                }
            )
            regions += [_shown(f"{name}.mp4", fact, region) for region in where[fact]]
    write_json(folder / split / "json" / f"{KIND}.json", records)
    write_json(folder / split / REGIONS, regions)


def _options(document: Document, split: str, rng: random.Random) -> Iterator[list[str]]:
    told = {fact.value for fact in document.facts}
    for fact in document.facts:
        others = [value for value in values_of(fact.relation, split) if value not in told]
        options = [*rng.sample(others, min(OPTIONS - 1, len(others))), fact.value]
        rng.shuffle(options)
        yield options


def _shown(video: str, fact: Fact, region: Region) -> dict[str, Any]:
    return {
        "video": video,
        "question": fact.question,
        "start": float(region.media),
        "end": float(region.media + 1),
        "box": list(region.box or (0, 0, 1, 1)),
    }
