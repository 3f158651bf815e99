"""How a run was made, what it has cost, when it was published: the other files of a run folder, declared once."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from coreheads import limits
from coreheads.store.fields import Count, Positive, Seconds, is_contact, known_fields, one_line, only_fields
from coreheads.store.schema import Versioned


@known_fields
class Machine(TypedDict):
    """Where a process ran."""

    device: NotRequired[str]
    """As asked for: cpu, cuda:0."""
    name: str
    """The device in words."""
    system: str
    """Operating system."""
    cores: NotRequired[Count | None]
    """Logical CPU cores; null where the system does not say."""


@known_fields
class Invocation(TypedDict):
    """One process that worked on the run."""

    started: str
    """UTC, ISO 8601, to the second."""
    command: str
    """As one could type it again."""
    versions: dict[str, str | None]
    """Of the packages that matter; null where one is not installed."""
    revision: str | None
    """Git revision of the source, with ``+changes``; null outside a checkout."""
    machine: Machine
    """What it ran on; of a run on Ray what its replicas did."""
    replicas: NotRequired[Count]
    """How many answered cells at a time, on Ray; missing where this one process did."""


@known_fields
class StoredModel(TypedDict):
    """A model of the configuration; the fields that are read of it."""

    id: str
    """A hub id or a local folder."""
    name: Annotated[str, Field(min_length=1)]
    """What the run calls it."""
    revision: NotRequired[Any]
    """Of the checkpoint, as asked for; null: the newest."""
    heads: NotRequired[Any]
    """A heads file that was given; null where heads are found."""


@known_fields
class StoredConfig(TypedDict):
    """The configuration as resolved: a :class:`coreheads.config.schema.RunConfig` as JSON; what is read of it here."""

    models: Annotated[list[StoredModel], Field(min_length=1, max_length=limits.NAMES)]
    """At least one."""
    device: NotRequired[str]
    """As asked for: cpu, cuda:0."""
    out: NotRequired[Any]
    """The run's folder."""
    data_root: NotRequired[Any]
    """The folder that holds benchmark data; null: the default."""
    profile: NotRequired[dict[str, Any] | None]
    """How heads are found: tasks, samples, split, scores."""
    evaluate: NotRequired[dict[str, Any] | None]
    """Tasks, split and limits."""
    options: NotRequired[dict[str, Any] | None]
    """By task, its options."""


@known_fields
class Published(TypedDict):
    """What was left out of a published run, and which run it is the copy of."""

    of: str
    """Digest of how, when and where that run was first started."""
    responses: bool
    """Whether answers are in it."""
    pictures: bool
    """Whether examples are in it."""
    paths: str
    """How much of this machine's paths is in it, in words."""


@known_fields
class ModelSources(TypedDict):
    """SHA-256 (hex) of what a model's answers come from; a part that could not be found out is missing."""

    weights: NotRequired[str]
    """See ``coreheads.adapters.checkpoints.fingerprint``, as for the next two."""
    settings: NotRequired[str]
    """config.json, generation_config.json and Python files of the checkpoint."""
    processor: NotRequired[str]
    """Tokenizer, picture and video processor, chat template."""
    heads: NotRequired[str]
    """The heads file that was given."""
    code: NotRequired[str]
    """Our own that shows prompts to the model, patches it and has it answer."""


@known_fields
class TaskSources(TypedDict):
    """What a task's scores come from."""

    code: str
    """SHA-256 (hex) of our own that asks the questions and scores the answers, see ``coreheads.tasks.code``."""
    records: dict[str, dict[str, str | None]]
    """By split, of every record of the run what it says and what it shows, see ``coreheads.tasks.reading.contents``;
    null for one that could not be used."""


@known_fields
class MadeFrom(TypedDict):
    """What stored answers, profiles and timings depend on beside the configuration, by its contents."""

    models: dict[str, ModelSources]
    """By their names in the run."""
    tasks: dict[str, TaskSources]
    """By name."""
    plugins: NotRequired[dict[str, str]]
    """SHA-256 (hex) of the files of patches and head scores that are not ours, by "patch" or "score" and the name."""


@known_fields
class Manifest(Versioned):
    """``manifest.json``."""

    config: StoredConfig
    """What was asked for."""
    invocations: Annotated[list[Invocation], Field(min_length=1)]
    """Every process that worked on the run, the first one first."""
    made_from: NotRequired[MadeFrom]
    """Checked when the run goes on; missing from runs of versions that did not know it."""
    published: NotRequired[Published]
    """Only in a published copy."""


class Submitter(TypedDict):
    """Who gives a run to others, and what they say of it."""

    who: Annotated[str, AfterValidator(one_line(100, "a name"))]
    """A person, a group or an account."""
    contact: NotRequired[Annotated[str, AfterValidator(is_contact)] | None]
    """A web or mail address."""
    note: NotRequired[Annotated[str, AfterValidator(one_line(500, "a note"))] | None]
    """What a reader should know."""


@only_fields
class Submission(Versioned, Submitter):
    """``submission.json`` of a published run."""

    date: Annotated[str, AfterValidator(one_line(40, "a date"))]
    """UTC, ISO 8601, to the second."""
    contents: dict[str, str]
    """SHA-256 (hex) of what the other files say: of settings, heads, samples, asked, speeds, code."""


@known_fields
class SpentRecord(TypedDict):
    """What one kind of work has cost."""

    kind: Literal["load", "profile", "answer", "time"]
    """A model's loading (1 unit), finding heads (units are samples), answering (answers), timing (rounds: the choice of
    the dense kernel, warm-ups, repeats)."""
    model: str
    """Its name in the run."""
    task: str
    """Empty for ``load``."""
    patch: str
    """Empty but for ``answer``."""
    seconds: Seconds
    """Of all these units."""
    units: Positive
    """How many were done."""


@known_fields
class CostsRecord(Versioned):
    """``costs.json``: what the run's work has cost on a machine."""

    machine: str
    """The device in words."""
    spent: list[SpentRecord]
    """One a kind, model, task and patch."""
    peak_bytes: dict[str, Count]
    """Peak memory while a model ran, by its name in the run."""


@known_fields
class Publication(TypedDict):
    """One run that was published into a site."""

    date: NotRequired[str]
    """UTC, ISO 8601."""
    run: str
    """Its name below ``runs/``."""
    rows: NotRequired[int]
    """How many of its rows stood on the board then."""
    replaced: NotRequired[bool]
    """Whether an older state of it was there."""
    texts_shortened: NotRequired[int]
    """How many texts had a path of the machine in them."""
    command: NotRequired[str]
    """That published it, its paths shortened."""


@known_fields
class History(Versioned):
    """``history.json`` of a site."""

    publications: list[Publication]
    """The first one first."""
