"""Whether a run was asked for the same as its baseline, which comes before any comparison: other heads, seeds, samples
or settings make other scores, and none of them is a regression."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from coreheads.check.findings import Finding
from coreheads.check.heads import explained
from coreheads.heads.types import profile_name
from coreheads.leaderboard.gaps import asked_for
from coreheads.store.folder import RunFolder
from coreheads.store.made_from import other_records

if TYPE_CHECKING:
    from coreheads.check.baseline import Baseline, CellRecord

MOST = 4
"""Differences that are named."""
_OF_MODELS = ("dtype", "attn_implementation", "settings")
_OF_SECTIONS = (
    ("profile", ("tasks", "samples", "split", "normalization", "score")),
    ("evaluate", ("tasks", "limit", "split", "draws", "draw_limit")),
)


def settings_of(config: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Everything of a stored configuration that changes a score, by dotted path; what is not there is left out."""
    found: dict[str, JsonValue] = {}
    for model in config["models"]:
        found |= {f"models.{model['name']}.{name}": model[name] for name in _OF_MODELS if name in model}
    for section, names in _OF_SECTIONS:
        own = config.get(section)
        found |= {f"{section}.{name}": own[name] for name in names if isinstance(own, dict) and name in own}
    options = config.get("options")
    if isinstance(options, dict):
        found["options"] = {task: values for task, values in options.items() if values}
    if "seed" in config:
        found["seed"] = config["seed"]
    return found


def not_asked(run: RunFolder, before: Baseline) -> list[str]:
    """What the baseline judges and the run's configuration does not ask for, in words."""
    asked = {cell.name: cell for cell in asked_for(run) or ()}
    if not run.cells().keys() <= asked.keys():
        return []  # of another version: what it was asked for cannot be told
    cells = [name for name in before.cells if name not in asked]
    speeds = [name for name, cell in before.cells.items() if cell.speed and name in asked and not asked[name].timed]
    texts = (("answers", cells), ("speeds", speeds))
    return [f"not asked for were {what} of {len(names)} cells, as {names[0]}" for what, names in texts if names]


def compare_settings(
    now: Baseline, before: Baseline, damaged: Container[str] = (), missing: Sequence[str] = ()
) -> tuple[list[Finding], bool]:
    """(one finding that names what the run was asked otherwise, or none where all that both know is the same; whether
    the configuration says so, not only heads that were picked otherwise). damaged: cells whose records are not all
    there. missing: see ``not_asked``."""
    configured = [*_configured(now.settings, before.settings), *_other_contents(now, before)]
    configured = configured or list(missing)  # which follows from other tasks or draws
    cells = _cells(now, before, damaged)
    # limits, seeds and records follow from a configuration that differs
    differences = [*configured, *(text for what, text in cells if what == "patched heads" or not configured)]
    if not differences:
        return [], False
    more = f"; and {len(differences) - MOST} more" if len(differences) > MOST else ""
    text = f"{'; '.join(differences[:MOST])}{more}; answers and speeds of other settings are not compared"
    return [Finding("settings", "other than the baseline's", None, None, False, text)], bool(configured)


def _configured(now: Mapping[str, JsonValue], before: Mapping[str, JsonValue]) -> Iterator[str]:
    for name in sorted(now.keys() & before.keys()):
        new, old = now[name], before[name]
        if name == "options" and isinstance(new, dict) and isinstance(old, dict):
            tasks = sorted(new.keys() | old.keys())
            pairs = {f"options.{task}": (new.get(task, {}), old.get(task, {})) for task in tasks}
        else:
            pairs = {name: (new, old)}
        for path, (one, other) in pairs.items():
            if one != other and not _beyond(path, one, other):
                yield f"{path} is {_brief(one)}, in the baseline {_brief(other)}"


def _other_contents(now: Baseline, before: Baseline) -> Iterator[str]:
    """Records that hold something else under the same ids. Other weights and other code are what a gate judges."""
    for task in before.made_from["tasks"] if before.made_from is not None else ():
        yield from other_records(now.made_from, before.made_from, task)


def _beyond(path: str, one: JsonValue, other: JsonValue) -> bool:
    """Whether ``one`` only asks for cells that the baseline, which asks for ``other``, does not judge."""
    if path == "evaluate.draws":
        return isinstance(one, int) and isinstance(other, int) and one > other
    if path == "evaluate.tasks":
        return isinstance(one, list) and isinstance(other, list) and all(task in one for task in other)
    return False


def _cells(now: Baseline, before: Baseline, damaged: Container[str]) -> Iterator[tuple[str, str]]:
    """(what, text) of cells that both have: a text a kind of difference."""
    found: dict[str, list[str]] = {"limits": [], "seeds": [], "patched heads": [], "records": []}
    for name, old in before.cells.items():
        new = now.cells.get(name)
        if new is None or new.asked is None:
            continue
        if old.asked is not None and new.asked.limit != old.asked.limit:
            found["limits"].append(f"{name}: {_brief(new.asked.limit)}, in the baseline {_brief(old.asked.limit)}")
        elif old.asked is not None and new.asked.seed != old.asked.seed:
            found["seeds"].append(f"{name}: {_brief(new.asked.seed)}, in the baseline {_brief(old.asked.seed)}")
        elif text := _other_heads(now, before, new, old):
            found["patched heads"].append(f"{name}: {text}")
        elif name not in damaged and (text := _other_records(new, old)):
            found["records"].append(f"{name}: {text}")
    for what, texts in found.items():
        if texts:
            yield what, f"{what} of {len(texts)} cell{'s' * (len(texts) > 1)} differ, as {texts[0]}"


def _other_heads(now: Baseline, before: Baseline, new: CellRecord, old: CellRecord) -> str:
    """What differs, in words. Heads that a ranking picked may be others where those rank alike."""
    if new.asked is None or old.asked is None:
        return ""
    one, other = new.asked.chosen, old.asked.chosen
    first = before.heads.get(profile_name(old.asked.model, old.asked.head_score))
    second = now.heads.get(profile_name(new.asked.model, new.asked.head_score))
    if one == other or (
        first is not None
        and second is not None
        and explained(old.asked, one, first, second, before.tolerances.ranking_overlap)
    ):
        return ""
    return f"{len(one & other)} of its {len(one)} are the baseline's"


def _other_records(new: CellRecord, old: CellRecord) -> str:
    """What differs, in words; a baseline of an older version does not know what it could not score."""
    one, other = ({*cell.samples, *(cell.asked.unscored if cell.asked else ())} for cell in (new, old))
    stray = sorted(other - one) or (sorted(one - other) if old.asked else [])
    if not stray:
        return ""
    return f"{len(one & other)} of its {len(one)} are the baseline's, {stray[0]} is in one of the two only"


def _brief(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
