"""The scores of a whole set by another road than lmms-eval's, for comparing the two."""

from __future__ import annotations

from collections.abc import Sequence

from coreheads.errors import BadSample, UserError
from coreheads.tasks.reading.documents import Doc
from coreheads.tasks.task import UNSCORED, Task


def aggregate(task: Task, docs: Sequence[Doc], responses: Sequence[str]) -> dict[str, float]:
    """Every score of the set: means over the samples that have it, the aggregates, and the number unscored."""
    if not docs or len(docs) != len(responses):
        raise UserError(f"{task.name}: {len(docs)} records and {len(responses)} responses, expected as many, not 0")
    values: dict[str, list[float]] = {}
    details = []
    for doc, response in zip(docs, responses, strict=True):
        try:
            scored = task.doc_scores(doc, response)
            details.append(task.details(doc, response, scored))
        except BadSample:
            continue
        for name, value in scored.items():
            values.setdefault(name, []).append(value)
    if not details:
        raise UserError(f"{task.name}: none of {len(docs)} samples could be scored")
    means = {name: sum(each) / len(each) for name, each in values.items()}
    return {**means, **task.functions().aggregate(details), UNSCORED: float(len(docs) - len(details))}
