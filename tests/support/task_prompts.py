"""What a task's prompt holds."""

from __future__ import annotations

from typing import Any

from coreheads.tasks import registry
from coreheads.tasks.reading.documents import Doc


def usable(docs: list[Doc]) -> list[Doc]:
    return [doc for doc in docs if "bad" not in doc]


def pictures(task: registry.Task, doc: Doc) -> list[Any]:
    return [part["url"] for turn in task.messages(doc) for part in turn["content"] if part["type"] != "text"]


def words(task: registry.Task, doc: Doc) -> str:
    return "\n".join(part["text"] for part in task.messages(doc)[0]["content"] if part["type"] == "text")
