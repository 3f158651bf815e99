"""PDFs of 17 pages, 4,352 vision tokens, as MMLongBench-Doc's samples and documents; boxes in MMDocIR's format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coreheads.files import write_json, write_text
from coreheads.tasks.mini.sizes import balanced, candidates, generator
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import MOST_THINGS, make_scene, render
from coreheads.tasks.mini.writers.media import write_pdf
from coreheads.tasks.mini.writers.mmdocir import question

SIDE = 16
PAGES = 17
QUESTIONS = 16
DPI = 144


def write(root: Path, split: str, questions: int, advance: Callable[[int], None]) -> None:
    folder = root / split
    samples: list[dict[str, str]] = []
    lines: list[str] = []
    digits: Counter[int] = Counter()
    index = 0
    while len(samples) < questions:
        rng = generator("mmlongbench_doc", split, index)
        scene = make_scene(rng, PAGES, SIDE, SIDE, MOST_THINGS, stamped=True)
        count = min(QUESTIONS, questions - len(samples))
        chosen = balanced(candidates(scene, rng, digit=True), count, digits, "digit")
        name = f"mini_{split}_{index:03d}.pdf"
        write_pdf(folder / "data/documents" / name, list(render(scene.kinds, rng)), DPI)
        boxes: list[dict[str, Any]] = []
        for thing in chosen:
            words = f"what digit is by the {NAMES[thing.name]}?"
            samples.append(
                {
                    "doc_id": name,
                    "doc_type": "Synthetic",
                    "question": words,
                    "answer": str(thing.digit),
                    "evidence_pages": f"[{thing.picture + 1}]",
                    "evidence_sources": "['Figure']",
                    "answer_format": "Int",
                }
            )
            boxes.append(question(scene, thing, words, str(thing.digit), 72 / DPI))
        # MMDocIR's row numbers would point into its parquet files, which are not here
        line = {"doc_name": name, "domain": "Synthetic", "page_indices": [], "layout_indices": [], "questions": boxes}
        lines.append(json.dumps(line) + "\n")
        advance(len(chosen))
        index += 1
    write_json(folder / "data/samples.json", samples)
    write_text(folder / "MMDocIR_annotations.jsonl", "".join(lines))
