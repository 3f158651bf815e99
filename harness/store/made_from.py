"""What two runs were made from, as far as both say it: whether a name stands for the same in both."""

from __future__ import annotations

from coreheads.errors import UserError
from coreheads.store.provenance import MadeFrom, ModelSources
from coreheads.tasks import registry
from coreheads.tasks.reading.contents import SAID

CHECKPOINT = ("weights", "settings", "processor")


def checkpoint(made_from: MadeFrom | None, model: str) -> dict[str, str]:
    """Fingerprints of the parts of a run's checkpoint; empty where they are not known."""
    known: ModelSources = {} if made_from is None else made_from["models"].get(model, {})
    return {part: str(known[part]) for part in CHECKPOINT if part in known}  # type: ignore[literal-required]


def other_records(one: MadeFrom | None, other: MadeFrom | None, task: str) -> list[str]:
    """A text for every split of the task of which records of one id are not the same; empty where they are, or where
    one of the two does not say it.

    Of data that is made here, only what it says counts: encoders of pictures and videos differ between machines.
    """
    if one is None or other is None or task not in one["tasks"] or task not in other["tasks"]:
        return []
    length, texts = SAID if _is_made(task) else None, []
    for split, records in one["tasks"][task]["records"].items():
        old, changed, both = other["tasks"][task]["records"].get(split, {}), [], 0
        for name in records.keys() & old.keys():
            now, before = records[name], old[name]
            both += 1
            if now is not None and before is not None and now[:length] != before[:length]:
                changed.append(name)
        if changed:
            what = "asked, expected or shown"
            texts.append(
                f"{len(changed)} of {both} records of task {task}, split {split} ({what}), such as {min(changed)}"
            )
    return texts


def _is_made(task: str) -> bool:
    try:
        return registry.get(task).is_made
    except UserError:
        return False
