"""Reads MMLongBench-Doc: questions in a JSON or parquet file, PDFs, and regions from MMDocIR where it has them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from coreheads.errors import BadSample, UserError, brief
from coreheads.hashing.contents import stamp
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.regions import Region
from coreheads.tasks.mmdocir.data import ANNOTATIONS, layout, layout_regions
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc, fields_of, read_doc, usable
from coreheads.tasks.reading.fields import field, is_whole, items, json_lines, json_list, said, words
from coreheads.tasks.reading.parquet import parquet_rows
from coreheads.tasks.reading.sources import Source

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 144
"""The official resolution."""

FIELDS = ["doc_id", "question", "answer", "evidence_pages", "answer_format"]
SAMPLES, TABLES = "data/samples.json", "data/*.parquet"
FOLDERS = ("data/documents", "documents")
"""Where the PDFs lie: as in the code repository, as in the Hugging Face set."""


class Question(TypedDict):
    """A usable record's fields, beside what every ``Doc`` has."""

    document: str  # file name of the PDF
    question: str
    answer: Any  # as published: a text, a number, or a list of them
    answer_format: str  # Int, Float, Str, List or None
    pages: list[int]  # of the evidence, from 0 (the file counts from 1); what cannot be a page is left out


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [
        (f"{SAMPLES} or {TABLES}", "questions (as in the code repository, or in the Hugging Face set)"),
        (f"{FOLDERS[0]}/*.pdf or {FOLDERS[1]}/*.pdf", "documents"),
        (
            f"{ANNOTATIONS} or ../mmdocir/{ANNOTATIONS}",
            "optional: MMDocIR's annotations, for boxes (without them regions are whole pages)",
        ),
    ]


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    """One record a question, in the order of the file."""
    name, samples = _samples(source)
    docs = []
    for index, sample in enumerate(samples):
        group = str(sample.get("doc_id", index)) if isinstance(sample, dict) else str(index)
        where = f"{source.where(name)}: record {index}"
        docs.append(read_doc(source.place, str(index), group, where, partial(_record, sample)))
    return [doc | dict(options) for doc in docs]


def _samples(source: Source) -> tuple[str, list[Any]]:
    """(name of the file, its records)."""
    if source.names(SAMPLES):
        return SAMPLES, json_list(source.file(SAMPLES, "questions"))
    tables = source.names(TABLES)
    if not tables:
        raise UserError(f"{source.where(SAMPLES)}: not there, nor {TABLES}, expected MMLongBench-Doc's questions")
    return tables[0], [row for table in tables for row in parquet_rows(source.file(table, "questions"), FIELDS)]


def _record(sample: Any) -> Question:
    evidence = field(sample, "evidence_pages")
    pages = evidence if isinstance(evidence, list) else ast.literal_eval(evidence)
    if not isinstance(pages, list) or not all(map(is_whole, pages)):
        raise ValueError(f"evidence_pages is {brief(evidence)}, expected a list of page numbers")
    known = ("Int", "Float", "Str", "List", "None")
    if sample["answer_format"] not in known:
        raise ValueError(f"answer_format is {brief(sample['answer_format'])}, expected one of {', '.join(known)}")
    return {
        "document": words(sample, "doc_id"),
        "question": words(sample, "question"),
        "answer": said(field(sample, "answer"), "answer"),
        "answer_format": sample["answer_format"],
        "pages": [page - 1 for page in pages if page >= 1],
    }


def document(doc: Doc) -> Path:
    """The record's PDF; BadSample where it is missing."""
    usable(doc)
    source = Source(doc["root"])
    first, second = (f"{folder}/{doc['document']}" for folder in FOLDERS)
    try:
        return source.file(first, "a PDF")
    except BadSample:
        with contextlib.suppress(BadSample):
            return source.file(second, "a PDF")
        raise


def media(doc: Doc) -> list[Content]:
    root, asked = doc["root"], (doc["document"], doc["question"])
    # boxes are for finding heads alone: not worth fetching another benchmark's file
    return [document(doc), "" if Source(root).is_hub else repr(_layouts(root).get(asked, ("", []))[1])]


def pages(doc: Doc) -> tuple[Image, ...]:
    """The first ``max_pages`` pages (None: all) of the record's document, at its ``dpi``."""
    return pdf_pages(document(doc), doc.get("dpi", DPI), doc.get("max_pages"))


def _layouts(root: str) -> dict[tuple[str, str], tuple[str, Any]]:
    """{(document, question): (where it stands, its layouts as published)}; UserError for a file that has no such."""
    source = Source(root)
    sources = [source, Source(str(Path(root).parent / "mmdocir"))]
    if source.is_hub:
        sources = [Source("hub:MMDocIR/MMDocIR_Evaluation_Dataset")]
    path: Path | None = None
    for candidate in sources:
        with contextlib.suppress(BadSample):
            path = path or candidate.file(ANNOTATIONS, "MMDocIR's annotations")
    return {} if path is None else _layouts_in(path, stamp(path))


@lru_cache(maxsize=8)
def _layouts_in(path: Path, now: object) -> dict[tuple[str, str], tuple[str, Any]]:
    layouts: dict[tuple[str, str], tuple[str, Any]] = {}
    try:
        for line, entry in json_lines(path):
            with fields_of(f"{path}: line {line}"):
                for question in items(entry, "questions"):
                    asked = words(entry, "doc_name"), words(question, "Q")
                    layouts[asked] = f"{path}: line {line}", field(question, "layout_mapping")
    except BadSample as error:
        raise UserError(str(error)) from None
    return layouts


def regions(doc: Doc) -> list[Region]:
    """MMDocIR's boxes for the same document and question; else the whole evidence pages.

    Pages that the document does not have, or that are not shown, are left out.
    """
    count = page_count(document(doc))
    shown = min(count, doc.get("max_pages") or count)
    where, layouts = _layouts(doc["root"]).get((doc["document"], doc["question"]), ("", []))
    with fields_of(f"{where}: layout_mapping of {doc['question']!r}"):
        boxes = layout_regions([layout(item) for item in items({"layout_mapping": layouts}, "layout_mapping")], shown)
    return boxes or [Region(media=page) for page in doc["pages"] if page < shown]
