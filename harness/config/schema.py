"""The configuration of a run: what a YAML file may say, and one clear line for everything it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from coreheads import limits
from coreheads.config.budgets import Asked, Of, budget_of, patch_of
from coreheads.config.fields import Count, Fraction, Names, Placement, Repeats, Section, Whole, number
from coreheads.config.parsing import load_yaml, set_values
from coreheads.config.patches import OnConfig, plain
from coreheads.config.profile import ProfileConfig
from coreheads.errors import UserError, nearest
from coreheads.files import matching
from coreheads.heads.selections import SCORED, SEEDED, SIZED, Kind
from coreheads.tasks import registry
from coreheads.validation import validating


class TooManyCells(ValueError):
    """A configuration asks for more cells than can be made."""


class ModelConfig(Section):
    """A checkpoint: ``tiny``, ``smol`` or ``smol-onevision`` (the embedded ones), a local folder or a hub id."""

    id: str = Field(min_length=1)
    name: str = ""
    """What the board calls it: by default the id, or the last part of a path."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the weights; ``auto`` is the checkpoint's own."""
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    device_map: Placement | None = None
    """In place of the run's ``device``: over how many GPUs the model is split, or the GPU of each of its modules."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the family's adapter: how pictures and videos are shown, such as max_pixels or max_tiles."""
    heads: str | None = None
    """A heads.json of this very model; without it the run finds the heads itself."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("name") and isinstance(values.get("id"), str):
            path = Path(values["id"])
            is_path = path.is_absolute() or values["id"].startswith((".", "~")) or path.is_dir()
            return {**values, "name": path.resolve().name if is_path else values["id"]}
        return values


class EvaluateConfig(Section):
    tasks: Annotated[Names, Field(min_length=1)]
    limit: Count | None = None
    """Samples a task; null is all of them."""
    limits: dict[str, Count] = Field(default_factory=dict)
    """Fewer samples of single tasks, by name."""
    split: str = "test"
    draws: Count = 10
    """Draws of every random control."""
    draw_limit: Count | None = None
    """Samples a draw; successive draws take successive samples. Null: as many as ``limit``."""
    batch_size: Count = 8

    def limit_of(self, task: str) -> int | None:
        """Samples of a task; None is all of them."""
        return min((n for n in (self.limit, self.limits.get(task)) if n is not None), default=None)


class CellConfig(Section):
    """Cells are the product of selections, fractions and (for random ones) draws, on every task; a patch that takes no
    heads has none of these, and one cell a task. Budgets take the fractions' place, or give one cell each."""

    patch: str = "none"
    tasks: Names = ()
    """On which of the evaluated tasks; none named is all."""
    params: dict[str, Any] = Field(default_factory=dict)
    """What the patch takes besides the heads: mode of ``ablate``; sink and window of ``hybrid``; keep of ``dart``."""
    selections: tuple[Kind, ...] = ()
    fractions: tuple[Fraction, ...] = ()
    budgets: tuple[Fraction, ...] = ()
    """Shares of what the dense model costs; for each, the patch's parameter is solved for every prompt."""
    budget_of: Of | None = None
    """What of the dense model's: the patch says it, it need not be given."""
    preset: bool = False
    """These are the published settings of the method; the board marks the rows."""
    draws: Count | None = None
    limit: Count | None = None
    """Fewer samples of every task than ``evaluate`` asks."""
    heads: tuple[tuple[Whole, Whole], ...] = ()
    score: str | None = None
    """Whose profile selects the heads, one of profile.score; null is its first."""
    on: OnConfig | None = None
    """A patch that drops tokens, on top of which this one acts: {patch: cdpruner, params: {keep: 0.5}}."""
    timed: bool = False
    """Measure the speed of these cells too."""

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> CellConfig:
        plain(self.params)
        if self.score is not None and SCORED.isdisjoint(self.selections):
            raise ValueError(f"score is {self.score!r}, but no selection goes by one: expected {', '.join(SCORED)}")
        if self.patch == "none":
            if self.selections or self.fractions or self.heads or self.params or self.on or self.budgets or self.preset:
                raise ValueError("patch none takes no selections, fractions, heads, params, on, budgets or preset")
            return self
        if info.context and self.patch == "ablate":
            # said in every cell that is made anew: what was stored without it was made when zero was the default
            self.params.setdefault("mode", "vision")
        # asked where a configuration is read: what a stored one names need not be installed
        patch = info.context(self.patch) if info.context else None
        takes_heads = patch and patch.takes_heads
        if takes_heads and not self.selections:
            raise ValueError(f"patch {self.patch} needs selections, for example [top]")
        if takes_heads is False and (self.selections or self.fractions or self.heads or self.draws or self.on):
            raise ValueError(f"patch {self.patch} takes no heads: no selections, fractions, heads, draws or on")
        if self.on and self.budgets:
            raise ValueError("budgets are given, and on: give the fractions of the one and params.keep of the other")
        # stored, so that cells can be told without the patch
        asked = Asked(*(getattr(self, name) for name in Asked._fields))
        object.__setattr__(self, "budget_of", budget_of(asked, patch))
        if any(name in SIZED for name in self.selections) and not (self.fractions or self.budgets):
            raise ValueError("these selections need fractions, for example [0.05]")
        if "explicit" in self.selections and not self.heads:
            raise ValueError("selection explicit needs heads, for example [[2, 8], [2, 9]]: the selection is empty")
        if self.heads and "explicit" not in self.selections:
            raise ValueError("heads are given, but selections do not name explicit")
        if self.timed and any(name in SEEDED for name in self.selections):
            raise ValueError("timed cells cannot be random: a draw's speed is that of any other draw")
        return self


class TimingConfig(Section):
    tasks: Names | Literal["all"] = "all"
    """Which of the evaluated tasks are timed; an empty list times nothing."""
    repeats: Annotated[Repeats, Field(ge=2)] = 10
    """Interleaved; with fewer than ten the board says at every row that its intervals are rough."""
    warmup: Repeats = 1
    decode_tokens: Annotated[Count, Field(le=10**6)] = 8
    """Tokens that every timed run decodes after the first, whatever the answer."""

    @property
    def rounds(self) -> int:
        """Parts of about one length: the choice of the dense kernel, warm-ups, repeats."""
        return 1 + self.warmup + self.repeats


class RunConfig(Section):
    schema_version: Annotated[Literal[1], BeforeValidator(number)] = 1
    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1, max_length=limits.NAMES)]
    device: str = "cpu"
    """auto-map: each model over the fewest GPUs that hold it."""
    data_root: str | None = None
    """The folder that holds benchmark data, <data_root>/<benchmark>; null is each task's own place: the hub, or for
    mini tasks the cache (see `coreheads tasks`)."""
    include: Names = ()
    """Folders with tasks of your own, as ``coreheads tasks --include`` takes them."""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of tasks, by their names: {coreheads_mmlongbench_doc: {dpi: 72}}."""
    profile: ProfileConfig = ProfileConfig()
    evaluate: EvaluateConfig
    cells: Annotated[tuple[CellConfig, ...], Field(max_length=limits.NAMES)] = ()
    timing: TimingConfig = TimingConfig()
    with_limit: dict[str, Any] = Field(default_factory=dict)
    """What the command line's --limit changes besides the limit, by dotted path: a short run needs less of all."""
    seed: Annotated[Whole, Field(ge=0, le=10**15)] = 0
    out: str = "results/runs/run"

    @field_validator("models")
    @classmethod
    def _distinct(cls, models: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
        if len({model.name for model in models}) < len(models):
            raise ValueError("two models have one name: give each a name of its own")
        return models

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        needs_heads = any(name in SIZED for cell in self.cells for name in cell.selections)
        if not self.profile.tasks and any(model.heads is None for model in self.models) and needs_heads:
            raise ValueError("profile.tasks is empty and a model has no heads file: nothing to select heads from")
        if self.profile.tasks and self.profile.split == self.evaluate.split:
            raise ValueError("profile.split and evaluate.split are the same: heads are found on one, judged on another")
        known_scores = self.profile.scores
        for index, cell in enumerate(self.cells):
            if cell.score is not None and cell.score not in known_scores:
                names = f"expected one of profile.score, {', '.join(known_scores)}"
                raise ValueError(f"cells.{index}.score is {cell.score!r}, {names}{nearest(cell.score, known_scores)}")
        if (count := self.cell_count()) > limits.CELLS:
            how = "models x tasks x selections x fractions x draws"
            raise TooManyCells(f"cells: {count:,} are asked for ({how}), expected at most {limits.CELLS:,}")
        named = {f"cells.{index}.tasks": group.tasks for index, group in enumerate(self.cells)}
        named["timing.tasks"] = self.timed_tasks()
        known = set(self.evaluate.tasks)
        for field, tasks in named.items():
            for task in tasks:
                if task not in known:
                    near = nearest(task, self.evaluate.tasks)
                    raise ValueError(f"{field} names {task!r}, which evaluate.tasks does not{near}")
        return self

    def cell_count(self) -> int:
        """How many cells it asks for, at most; counted without making them."""
        conditions = 0
        for group in self.cells:
            draws = group.draws or self.evaluate.draws
            count = len(group.fractions or group.budgets)
            sizes = ((count if kind in SIZED else 1) * (draws if kind in SEEDED else 1) for kind in group.selections)
            own = sum(sizes) if group.selections else len(group.budgets) or 1
            conditions += len(group.tasks or self.evaluate.tasks) * own
        return len(self.models) * (len(self.evaluate.tasks) + conditions)

    def timed_tasks(self) -> tuple[str, ...]:
        return self.evaluate.tasks if self.timing.tasks == "all" else self.timing.tasks


def default_path() -> Path:
    """The embedded default configuration."""
    return Path(__file__).parents[1] / "configs" / "embedded.yaml"


def shipped(name: str | Path) -> Path:
    """The file itself, or, for a bare name such as ``paper`` that is no file here, the one shipped under it."""
    path = Path(name)
    known = default_path().with_name(f"{path.name}.yaml")
    if path.suffix or len(path.parts) > 1 or path.exists():
        return path
    if not known.is_file():
        names = [file.stem for file in matching(default_path().parent, "*.yaml")]
        near = nearest(path.name, names)
        raise UserError(f"{path}: no such file, expected a YAML configuration or one of {', '.join(names)}{near}")
    return known


def load_config(
    path: str | Path | None = None, changes: tuple[str, ...] = (), limit: int | None = None, **values: Any
) -> RunConfig:
    """Read a YAML file, apply ``key=value`` changes and then ``values``.

    Args:
        path: A file, or the name of a shipped one; None is the embedded one.
        changes: ``key=value`` texts, values in YAML.
        limit: Samples a task, and with it the file's own ``with_limit`` changes (before ``changes``, which win).
        values: The command line's other options; None leaves the file's value.

    Raises:
        UserError: One line a fault: file, field, value, what was expected.
    """
    source = default_path() if path is None else shipped(path)
    tree = load_yaml(source)
    if limit is not None:
        shorter = tree.get("with_limit")
        set_values(tree, (), [*(shorter.items() if isinstance(shorter, dict) else ()), ("evaluate.limit", limit)])
    options = {name: value for name, value in values.items() if value is not None}
    set_values(tree, changes, options.items())
    given = {"evaluate.limit": "--limit"} if limit is not None else {}
    given |= {key: f"--set {key}" for key in (change.partition("=")[0].strip() for change in changes)}
    given |= {name: f"--{name.replace('_', '-')}" for name in options}
    with validating(RunConfig, source, given=given):
        config = RunConfig.model_validate(tree, context=patch_of)
    for folder in config.include:
        registry.include(folder)
    return config
