"""Questions about a video of printed slides, as MLVU's videos.

The options are not shown, and the answer's text chooses among them: of two documents' questions this model answered
96 % without them, 88 % with the options before the question and at most 67 % with them behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mini.prompts import within
from coreheads.tasks.mlvu import data, task
from coreheads.tasks.mlvu.data import media, regions
from coreheads.tasks.mlvu.task import aggregate, details
from coreheads.tasks.reading.documents import Doc, Messages, text, user_turn, video
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.smol.prompts import numbered, prompt, query, said

__all__ = ["aggregate", "details", "media", "query", "regions"]


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return within(split, data.expected("dev", options))


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    return numbered(data.records(source.within(split), "dev", options), split)


def messages(doc: Doc) -> Messages:
    return user_turn(video(data.video_path(doc)), text(prompt(doc["question"])))


def target(doc: Doc) -> str:
    return f" {doc['answer']}."


def scores(doc: Doc, response: str) -> dict[str, float]:
    """Without the means over kinds of question: there is one."""
    scored = task.scores(doc, said(response))
    return {name: scored[name] for name in ("accuracy", "unparsed")}
