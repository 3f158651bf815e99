"""Rows of several runs on one board. A row stays what its own run made of it: its delta and its speed are never
computed from another run's numbers. What is left out is listed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.hashing.contents import changed_parts, json_hash
from coreheads.heads.profile import HeadProfile
from coreheads.leaderboard.gaps import label
from coreheads.leaderboard.rows import build_rows
from coreheads.private import without_home
from coreheads.store import submission
from coreheads.store.board import LeftOut, Row
from coreheads.store.folder import RunFolder
from coreheads.store.made_from import checkpoint, other_records
from coreheads.store.provenance import StoredModel


@dataclass
class Source:
    """One run as the board shows it."""

    run: RunFolder
    label: str
    """Its name on the board."""
    models: dict[str, str]
    """What its models are called on the board, by their names in the run."""
    rows: list[Row] = field(default_factory=list)
    """All that it gave, under these names."""
    profiles: dict[tuple[str, str], HeadProfile] = field(default_factory=dict)
    """By the model's name on the board and the head score's name."""


def read(runs: Sequence[RunFolder]) -> tuple[list[Source], list[str]]:
    """(the runs in the order given, remarks on what was renamed). UserError where one folder is given twice."""
    names, remarks = _model_names(runs)
    sources = [Source(run, label, shown) for run, label, shown in zip(runs, labels(runs), names, strict=True)]
    for source in sources:
        source.rows = build_rows(source.run)
        submitted, last = submission.read(source.run), source.run.manifest["invocations"][-1]
        for row in source.rows:
            row["run"], row["model"] = source.label, source.models[row["model"]]
            if submitted is not None:
                row["who"], row["version"] = submitted["who"], last["versions"].get("coreheads")
        for (name, shown), score in itertools.product(source.models.items(), source.run.scores):
            if (profile := source.run.profile(name, score)) is not None:
                source.profiles[shown, score] = profile
    return sources, remarks


def labels(runs: Sequence[RunFolder]) -> list[str]:
    """A name for each run: its folder's, with as many folders above it as tell it from the others.

    UserError where one folder is given twice.
    """
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"runs: {path} is given twice, expected every run once")
    depth = [1] * len(paths)
    while True:
        names = ["/".join(path.parts[-count:]) for path, count in zip(paths, depth, strict=True)]
        if len(set(names)) == len(names):
            return names
        depth = [count + (names.count(name) > 1) for count, name in zip(depth, names, strict=True)]


@dataclass(frozen=True)
class Checkpoint:
    """What a name of the configuration stands for."""

    id: str
    revision: str | None
    """As its own head profile knows it, if at all."""
    contents: tuple[tuple[str, str], ...]
    """Fingerprints of its parts, as far as they are known."""

    def differs(self, other: Checkpoint) -> bool:
        """Whether they cannot be one: by contents; where one does not know its weights by name, where an unknown
        revision may be any."""
        one, two = dict(self.contents), dict(other.contents)
        if "weights" in one and "weights" in two:
            return bool(changed_parts(one, two))
        return self.id != other.id or (self.revision != other.revision and None not in (self.revision, other.revision))

    def text(self, contents: bool) -> str:
        """Its id and revision; contents: and the beginning of a hash of what it holds, where that is known."""
        known = [self.revision, f"contents {json_hash(self.contents)[:8]}" if contents and self.contents else None]
        return ", ".join([self.id, *(part for part in known if part)])


def identity(run: RunFolder, model: StoredModel) -> Checkpoint:
    """The checkpoint of a model of the configuration."""
    profile = run.profile(model["name"], run.scores[0]) if model.get("heads") is None else None
    contents = tuple(checkpoint(run.manifest.get("made_from"), model["name"]).items())
    if profile is not None:
        name, revision = without_home(profile.model["id"]), profile.model["revision"] or model.get("revision")
        return Checkpoint(name, revision, contents)
    return Checkpoint(without_home(str(model["id"])), model.get("revision"), contents)


def _model_names(runs: Sequence[RunFolder]) -> tuple[list[dict[str, str]], list[str]]:
    """What each run's models are called on the board: their names, with the checkpoint where one name means two."""
    known = [{model["name"]: identity(run, model) for model in run.config["models"]} for run in runs]
    shown = [{name: name for name in models} for models in known]
    remarks = []
    for name in dict.fromkeys(name for models in known for name in models):
        meant = list(dict.fromkeys(models[name] for models in known if name in models))
        if not any(one.differs(other) for one, other in itertools.combinations(meant, 2)):
            continue
        alike = len({one.text(contents=False) for one in meant}) < len(meant)
        full = {one: f"{name} ({one.text(contents=alike)})" for one in meant}
        for models, names in zip(known, shown, strict=True):
            if name in models:
                names[name] = full[models[name]]
        called = " and ".join(dict.fromkeys(full.values()))
        remarks.append(f"Runs call different checkpoints {name}; they are told apart as {called}.")
    return shown, remarks


def _record_sets(sources: Sequence[Source]) -> tuple[dict[tuple[str, str], int], list[str]]:
    """(for each run's label and task a number, the same where they may have asked the same records; remarks)."""
    numbers: dict[tuple[str, str], int] = {}
    remarks = []
    for task in dict.fromkeys(row["task"] for source in sources for row in source.rows):
        kinds: list[Source] = []
        for source in sources:
            own, texts = source.run.manifest.get("made_from"), []
            for number, first in enumerate(kinds):
                texts = other_records(own, first.run.manifest.get("made_from"), task)
                if not texts:
                    numbers[source.label, task] = number
                    break
            else:
                numbers[source.label, task] = len(kinds)
                kinds.append(source)
                if texts:
                    remarks.append(f"Runs {kinds[-2].label} and {source.label} were asked differently: {texts[0]}.")
    return numbers, remarks


def newest(sources: Sequence[Source]) -> tuple[list[Row], list[LeftOut], list[str]]:
    """(the rows that count, entries for the others, remarks): where two runs hold one cell of one device, the newer row
    counts. A run's dense row stays beside any row that refers to it."""
    latest: dict[str, Source] = {}
    sets, remarks = _record_sets(sources)
    keys = {source.label: _keys(source, sets) for source in sources}
    for source in sorted(sources, key=lambda source: source.run.manifest["invocations"][-1]["started"]):
        latest |= dict.fromkeys(keys[source.label], source)
    rows: list[Row] = []
    older: list[LeftOut] = []
    for source in sources:
        pairs = list(zip(source.rows, keys[source.label], strict=True))
        kept = {id(row) for row, key in pairs if latest[key] is source}
        referred = {(row["model"], row["task"]) for row in source.rows if id(row) in kept}
        for row, key in pairs:
            if id(row) in kept or (row["patch"] == "none" and (row["model"], row["task"]) in referred):
                rows.append(row)
            else:
                why = f"run {latest[key].label} is newer and has it"
                older.append({"run": source.label, "what": label(row), "reason": why})
    return rows, older, remarks


def _keys(source: Source, sets: Mapping[tuple[str, str], int]) -> list[str]:
    """For each row what makes it the same cell as another run's: model, task, condition, device, records, and every
    setting that changes a score. sets: by label and task, which records were asked."""
    config, stored = source.run.config, source.run.cells()
    settings = {
        source.models[model["name"]]: [model.get(name) for name in ("dtype", "attn_implementation", "settings")]
        for model in config["models"]
    }
    split, options = (config.get("evaluate") or {}).get("split"), config.get("options") or {}
    return [
        json.dumps(
            [
                row["model"],
                row["task"],
                sets[source.label, row["task"]],
                Cell.from_json(stored[row["cells"][0]]["cell"]).condition[1:],
                [row["device"], row["metric"], row["variant"], row["limit"]],
                # a speed is never replaced by a row without one, nor heads by others of the same rule
                row["prefill_speedup"] is not None,
                [stored[name]["heads"] for name in row["cells"]],
                settings[row["model"]],
                split,
                options.get(row["task"]),
            ],
            default=str,
        )
        for row in source.rows
    ]
