"""MMLongBench as a task: document questions, picture needles and visual RAG at the lengths asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreheads.regions import Region
from coreheads.tasks.mmlongbench import data
from coreheads.tasks.mmlongbench.prompts import MARK, parts
from coreheads.tasks.mmlongbench.scoring import readable, score
from coreheads.tasks.mmlongbench.subtasks import SUBTASKS, Subtask
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc, Messages, fields_of, user_turn
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.means import macro


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    files = [(subtask.name(length), f"{name} at {length}k tokens") for name, subtask, length in _asked_for(options)]
    return [*files, (f"{data.IMAGES}/*", "pictures, as the records name them")]


def _asked_for(options: Mapping[str, Any]) -> list[tuple[str, Subtask, int]]:
    """(sub-task's name, sub-task, length) of each that is asked for."""
    names = options["subtasks"] or SUBTASKS
    return [(name, SUBTASKS[name], length) for name in names for length in options["lengths"]]


def archives(options: Mapping[str, Any]) -> list[str]:
    return ["0_mmlb_data", *sorted({SUBTASKS[name].images for name in options["subtasks"] or SUBTASKS})]


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return [doc for part in _asked_for(options) for doc in data.records(source, *part)]


def media(doc: Doc) -> list[Content]:
    return data.media(doc)


def messages(doc: Doc) -> Messages:
    record = data.content(doc)
    with fields_of(data.where(doc)):
        return user_turn(*parts(doc, record))


def query(doc: Doc) -> str:
    """The question's text; of one with pictures in it, the part before the first."""
    return str(doc["question"]).split(MARK)[0].strip() or str(doc["question"]).split(MARK)[-1].strip()


def regions(doc: Doc) -> list[Region]:
    """Gold pages, by their file names; pictures that hold the needle. None where the evidence is text (visual RAG)."""
    record = data.content(doc)
    layout = SUBTASKS[doc["subtask"]].layout
    with fields_of(data.where(doc)):
        if layout == "pages":
            return [Region(media=index) for index in data.gold_pages(record)]
        if layout == "documents":
            return []
        shown = record["ctxs"] if layout == "haystack" else record["image_list"]
        return [Region(media=index) for index in data.needles(record, shown)]


def problems(doc: Doc) -> list[str]:
    record = data.content(doc)
    with fields_of(data.where(doc)):
        if SUBTASKS[doc["subtask"]].layout == "pages" and record["ans_page_list"] and not data.gold_pages(record):
            return [f"ans_page_list is {record['ans_page_list']}, none of which is in page_list"]
    return []


def target(doc: Doc) -> str:
    answer = doc["answer"]
    metric = SUBTASKS[doc["subtask"]].metric
    if metric == "choice":
        return f"Answer: {chr(ord('A') + answer)}"
    while metric == "contains" and isinstance(answer, list):
        answer = answer[0]
    return f"Answer: {answer}"


def scores(doc: Doc, response: str) -> dict[str, float]:
    """The sub-task's own metric; the names of sub-tasks and lengths are means over these alone."""
    metric = SUBTASKS[doc["subtask"]].metric
    value = score(response, doc["answer"], metric, doc["answer_format"], doc["place"])
    unparsed = float(not readable(response, metric))
    return {"score": value, doc["subtask"]: value, f"{doc['length']}k": value, "unparsed": unparsed}


def details(doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
    return {"macro": {"group": doc["subtask"], "score": scores["score"]}}


def aggregate(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {"macro": macro([row["macro"] for row in rows])}
