"""What a submission's manifest, cells, samples and heads say of each other: all that was asked for is there, and
nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreheads import limits
from coreheads.adapters.patches.registry import PATCHES
from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError, brief, nearest
from coreheads.heads.selections import SCORED, select
from coreheads.leaderboard.published_run import identity
from coreheads.retrieval.head_scores import SCORES
from coreheads.store.folder import RunFolder
from coreheads.store.made_from import CHECKPOINT
from coreheads.store.samples import SampleFile
from coreheads.store.schema import CellRecord
from coreheads.tasks import registry
from coreheads.validation import validating

SETTINGS = ("models", "device", "options", "profile", "evaluate", "cells", "timing", "seed")
"""Of a configuration; what is missing would be taken for this version's default."""
ONE_VERSION = ("coreheads", "torch", "transformers", "lmms-eval")
"""Packages of which all processes of a run must have had the same version."""
_HASH, _RECORD = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{32}")


def asked(run: RunFolder) -> tuple[RunConfig, dict[str, Cell]]:
    """The configuration and the cells that it asks for, by name; UserError where it is not complete or is none."""
    where = f"{run.path / 'manifest.json'}: config"
    with validating(RunConfig, where, most=1, what="a complete configuration"):
        config = RunConfig.model_validate(run.config)
    return config, {cell.name: cell for cell in expand(config)}


def settings(run: RunFolder) -> Iterator[str]:
    """What the manifest lacks, and versions that changed while the run went on."""
    where = f"{run.path / 'manifest.json'}:"
    for name in SETTINGS:
        if name not in run.config:
            yield f"{where} config.{name} is missing, expected all settings as coreheads run stores them"
    published = run.manifest.get("published")
    if published is None or not published["responses"]:
        yield f"{where} published.responses is not true, expected what coreheads publish --submission writes"
    for name in ONE_VERSION:
        used = dict.fromkeys(str(process["versions"].get(name)) for process in run.manifest["invocations"])
        if len(used) > 1:
            yield f"{where} invocations have {name} {' and '.join(used)}, expected one version for the whole run"


def tasks(run: RunFolder, config: RunConfig) -> Iterator[str]:
    """Tasks that are not known here."""
    for name in config.evaluate.tasks:
        if name not in (known := registry.names()):
            where = f"{run.path / 'manifest.json'}: config.evaluate.tasks has {brief(name)}"
            yield f"{where}, which is not known here (see --include){nearest(name, known)}"


def sources(run: RunFolder, config: RunConfig) -> Iterator[str]:
    """Fingerprints of checkpoints, code and records that are missing or are none."""
    where, known = f"{run.path / 'manifest.json'}:", run.manifest.get("made_from")
    if known is None:
        yield f"{where} made_from is missing, expected fingerprints of checkpoints, records and code"
        return
    wanted: list[tuple[str, Any]] = []
    for model in config.models:
        own: Mapping[str, Any] = known["models"].get(model.name, {})
        parts = (*CHECKPOINT, "code", *(["heads"] if model.heads else []))
        wanted += [(f"models.{model.name}.{part}", own.get(part)) for part in parts]
    for task in config.evaluate.tasks:
        of_task = known["tasks"].get(task)
        wanted.append((f"tasks.{task}.code", of_task and of_task["code"]))
    named = [("patch", group.patch) for group in config.cells if group.patch not in PATCHES]
    named += [("patch", group.on.patch) for group in config.cells if group.on and group.on.patch not in PATCHES]
    named += [("score", score) for score in config.profile.scores if score not in SCORES]
    wanted += [(f"plugins.{kind} {name}", known.get("plugins", {}).get(f"{kind} {name}")) for kind, name in named]
    for field, value in wanted:
        if not isinstance(value, str) or not all(map(_HASH.fullmatch, value.split() or [""])):
            yield f"{where} made_from.{field} is {brief(value)}, expected a SHA-256 of what was used"
    for task in config.evaluate.tasks:
        for name, value in records(run, config, task).items():
            if value is not None and not _RECORD.fullmatch(value):
                yield f"{where} made_from.tasks.{task}: record {brief(name)} is {brief(value)}, expected a hash"
                break


def records(run: RunFolder, config: RunConfig, task: str) -> dict[str, str | None]:
    """Fingerprints of the task's records that the run asked, in their order; empty where they are not known."""
    known = run.manifest.get("made_from")
    own = None if known is None else known["tasks"].get(task)
    return {} if own is None else own["records"].get(config.evaluate.split, {})


def cells(run: RunFolder, config: RunConfig, wanted: Mapping[str, Cell]) -> Iterator[str]:
    """Cells that are missing, that nobody asked for, or whose heads, samples or counts are others."""
    path, timings = run.path / "cells.jsonl", run.timings()
    finished, known = run.cells(), {*run.settled(), *run.failures()}
    for name in wanted:
        if name not in known:
            yield f"{path}: cell {name} is missing, expected every cell that config asks for"
    for name in [*finished, *run.failures(), *run.cannot()]:
        if name not in wanted:
            yield f"{path}: cell {name} is not asked for by config, expected only cells that are"
    for name, record in finished.items():
        if name in wanted:
            yield from _cell(run, config, wanted[name], record)
    machines = {process["machine"]["name"] for process in run.manifest["invocations"]}
    for name, timing in timings.items():
        where = f"{run.path / 'timings.jsonl'}: cell {name}:"
        if name not in finished:
            yield f"{where} has no finished cell, expected times of finished cells"
        if timing["device"] not in machines:
            yield f"{where} device is {brief(timing['device'])}, expected a machine of manifest.json"
        if timing["repeats"] != len(timing["times"]["dense"]["prefill"]):
            count = len(timing["times"]["dense"]["prefill"])
            yield f"{where} repeats is {timing['repeats']}, expected {count}, as many as it has times"


def _cell(run: RunFolder, config: RunConfig, cell: Cell, record: CellRecord) -> Iterator[str]:
    where = f"{run.path / 'cells.jsonl'}: cell {cell.name}:"
    stored = Cell.from_json(record["cell"])
    if replace(stored, timed=cell.timed) != cell:
        other = [name for name in cell.__dataclass_fields__ if getattr(stored, name) != getattr(cell, name)]
        names = [name for name in other if name != "timed"]
        shown = "; ".join(f"{n} {brief(getattr(stored, n))}, config says {brief(getattr(cell, n))}" for n in names)
        yield f"{where} is another cell than config asks for ({shown})"
    profile = run.profile(cell.model, cell.head_score)
    if cell.selection in SCORED and profile is None:
        yield f"{where} was chosen by a head profile, expected {run.heads_path(cell.model, cell.head_score)}"
    elif cell.selection is not None and cell.budget is None and profile is not None:
        heads = select(cell.selection, profile.mean, profile.shape, cell.fraction, cell.seed or 0, cell.heads)
        if record["heads"] != (picked := sorted(map(list, heads))):
            yield f"{where} heads are {brief(record['heads'])}, its profile and seed pick {brief(picked)}"
    store = run.samples(cell.name)
    yield from _counts(where, record, store)
    known = list(records(run, config, cell.task))
    offset, count = cell.span(len(known)) if known else (0, 0)
    wanted, there = set(known[offset : offset + count]), {*store.samples, *store.unscored}
    for missing in sorted(wanted - there)[:1]:
        yield f"{store.path}: record {brief(missing)} is missing, expected all {count} that config asks for"
    for stray in sorted(there - wanted)[:1]:
        yield f"{store.path}: record {brief(stray)} is none of the {count} that config asks for (made_from)"
    for key, line in store.samples.items():
        if len(line["response"]) > limits.ANSWER_CHARACTERS:
            length = f"{len(line['response']):,} characters, expected at most {limits.ANSWER_CHARACTERS:,}"
            yield f"{store.path}: record {brief(key)}: response has {length}"


def _counts(where: str, record: CellRecord, store: SampleFile) -> Iterator[str]:
    """What the cell's record says of its samples and they do not."""
    tokens = sorted(line["prompt_tokens"] for line in store.samples.values())
    counted: dict[str, float | None] = {
        "n": len(store.samples),
        "unscored": len(store.unscored),
        "empty": sum(not line["response"].strip() for line in store.samples.values()),
        "tokens_median": tokens[len(tokens) // 2] if tokens else None,
    }
    for name, value in counted.items():
        if (record.get(name) or 0) != (value or 0):
            yield f"{where} {name} is {record.get(name)}, its samples make {value}"
    refused = (record.get("nonfinite") or 0) + (record.get("over_context") or 0)
    if refused != len(store.refused):
        yield f"{where} nonfinite and over_context are {refused}, its samples make {len(store.refused)}"


def heads(run: RunFolder, config: RunConfig) -> Iterator[str]:
    """Profiles of another checkpoint than the answers', or whose figures do not fit together."""
    known = run.manifest.get("made_from")
    for model in config.models:
        for score in run.scores:
            profile, path = run.profile(model.name, score), run.heads_path(model.name, score)
            if profile is None:
                continue
            if profile.score != score:
                yield f"{path}: score is {brief(profile.score)}, expected {score}"
            own: Mapping[str, Any] = {} if known is None else known["models"].get(model.name, {})
            found: Mapping[str, Any] = profile.model.get("fingerprint", {})
            other = [part for part in CHECKPOINT if part in found and part in own and found[part] != own[part]]
            if other and model.heads is None:
                yield f"{path}: model.fingerprint.{other[0]} is not that of the answers (made_from), expected the same"
            means = [task["mean"] for task in profile.tasks.values()]
            if means and abs(profile.mean - sum(map(_array, means)) / len(means)).max() > 1e-9:
                yield f"{path}: mean is not the mean of its tasks' means, expected what coreheads profile writes"
            if model.heads is None and (set(profile.tasks) - set(config.profile.tasks)):
                yield f"{path}: tasks are {', '.join(profile.tasks)}, expected those of config.profile"


def twice(run: RunFolder) -> Iterator[str]:
    """The same run beside this one, under another name."""
    own = identity(run.manifest)
    for other in sorted(run.path.resolve().parent.iterdir()):
        if other.name != run.path.resolve().name and (other / "submission.json").is_file() and _is(other, own):
            yield f"{run.path}: is the run that {other.name} is, too, expected every run once"


def _is(folder: Path, own: str) -> bool:
    try:
        return identity(RunFolder.load(folder).manifest) == own
    except UserError:
        return False


def _array(matrix: Any) -> Any:
    return np.asarray(matrix)
