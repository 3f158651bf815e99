"""Whether a name stands for the same in two runs, as far as both say it, and in one run as it goes on."""

from __future__ import annotations

from collections.abc import Mapping

from coreheads.errors import UserError
from coreheads.store.folder import RunFolder
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


def check_heads(folder: RunFolder, model: str, picked: Mapping[str, list[list[int]]]) -> None:
    """UserError where a finished cell had other heads than are picked for it now (by cell): the run's own profile is
    not the one that it was answered with."""
    finished = folder.cells()
    other = [name for name, heads in picked.items() if name in finished and finished[name]["heads"] != heads]
    if other:
        path = folder.heads_path(model, finished[other[0]]["cell"].get("head_score"))
        raise UserError(
            f"{path}: picks other heads than {len(other)} finished cells were answered with, such as {other[0]}; put "
            "the file back, give --fresh to begin anew, or another --out"
        )


def _is_made(task: str) -> bool:
    try:
        return registry.get(task).is_made
    except UserError:
        return False
