"""What a board does not show, in few lines: what was left out alike is one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coreheads.store.board import LeftOut

NAMED = 4
"""So many tasks are named, more are counted."""

_CELL = re.compile(r"(?P<model>.+?) on (?P<task>.+?): (?P<condition>.+?)(?: \((?P<draws>\d+) draws\))?")
_SIZE = re.compile(r",? [\d.]+ %(?: of the (?:work|cache))?|, preset$| \(keep [\d.]+\)")
_NUMBER = re.compile(r"\d[\d.,]*")


def sentences(entries: Iterable[LeftOut]) -> list[str]:
    """A line for all entries of one model with one reason, whatever budgets, tasks and numbers differ: ``hybrid: top
    full on 4 tasks (tiny, run r): cannot: ...``. Methods that share tasks and reason share a line; of reasons that
    differ in numbers the first stands as an example."""
    methods: dict[tuple[str, str, str, str], list[tuple[str, LeftOut]]] = {}
    for entry in entries:
        model, task, method = _parts(entry["what"])
        # a reason about one method has its name and figures in it
        kind = _NUMBER.sub("#", entry["reason"])
        methods.setdefault((entry["run"], model, kind, method), []).append((task, entry))
    groups: dict[tuple[str, str, str, tuple[str, ...]], dict[str, list[LeftOut]]] = {}
    for (run, model, kind, method), found in methods.items():
        tasks = tuple(dict.fromkeys(task for task, _ in found))
        groups.setdefault((run, model, kind, tasks), {})[method] = [entry for _, entry in found]
    return [_sentence(run, model, tasks, group) for (run, model, _, tasks), group in groups.items()]


def _sentence(run: str, model: str, tasks: Sequence[str], methods: dict[str, list[LeftOut]]) -> str:
    entries = [entry for found in methods.values() for entry in found]
    if len(entries) == 1:
        return f"{entries[0]['what']} (run {run}): {entries[0]['reason']}"
    where = f" on {', '.join(tasks) if len(tasks) <= NAMED else f'{len(tasks)} tasks'}" if any(tasks) else ""
    about = f"{model}, run {run}" if model else f"run {run}"
    example = "for example " if len({entry["reason"] for entry in entries}) > 1 else ""
    return f"{', '.join(methods)}{where} ({about}; {len(entries)} entries): {example}{entries[0]['reason']}"


def _parts(what: str) -> tuple[str, str, str]:
    """Model, task and condition without how much it keeps; all in the last where it is something else."""
    found = _CELL.fullmatch(what)
    return ("", "", what) if found is None else (found["model"], found["task"], _SIZE.sub("", found["condition"]))
