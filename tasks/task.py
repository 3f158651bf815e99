"""A benchmark task: what can be asked of it. Nothing heavy is imported until its media are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from coreheads.errors import BadSample, UserError, nearest
from coreheads.hashing.contents import json_hash
from coreheads.regions import Region
from coreheads.tasks.module import TaskFunctions, load
from coreheads.tasks.options import Option, complete
from coreheads.tasks.reading import archives
from coreheads.tasks.reading.contents import fingerprints
from coreheads.tasks.reading.documents import Doc, usable
from coreheads.tasks.reading.sources import HUB, Expected, Source
from coreheads.tasks.splits import Split, chosen, distinct, drawn
from coreheads.text import encodable

UNSCORED = "unscored"
"""Name of the count of samples that could not be used."""


@dataclass(frozen=True)
class Task:
    """One benchmark task. Its functions live in ``module``, its lmms-eval YAML beside it.

    Attributes:
        name: What configurations and the command line call it.
        kind: rec (image box), vidstg (box and time in a video), page or layout (retrieval in a document), docqa (long
            document), mcq (multiple choice about a video) or long (long context of several kinds).
        benchmark: Its folder under a data root.
        module: Dotted name of the module with its functions.
        metrics: Names of scores that are means over samples, the main one first.
        summary: What it asks, in one line.
        splits: By name.
        aggregates: Names of scores of the whole set that are not means over samples.
        hub: The data set on the Hugging Face hub, owner/name; None where it is not there.
        no_regions: Why there is no ground truth for RAM; empty where there is.
        group_by: The field whose groups weigh alike in the set's score, then the first aggregate; may be empty.
        options: By name, with their defaults.
        drawn: The option that says how many ids of every sub-task and length are drawn from a split; may be empty.
        by_family: Whether prompt or scoring depend on the model family.
        media_licence: Under which its pictures and videos may be passed on; empty where they may not.
    """

    name: str
    kind: str
    benchmark: str
    module: str
    metrics: tuple[str, ...]
    summary: str
    splits: Mapping[str, Split]
    aggregates: tuple[str, ...] = ()
    hub: str | None = None
    no_regions: str = ""
    group_by: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    drawn: str = ""
    by_family: bool = False
    media_licence: str = ""

    @property
    def metric(self) -> str:
        return self.metrics[0]

    @property
    def board_metric(self) -> str:
        """Name of the set's score: what a leaderboard shows."""
        return self.aggregates[0] if self.group_by else self.metric

    @property
    def is_made(self) -> bool:
        """Whether its data is ours, made on first use."""
        return self.module.startswith(("coreheads.tasks.mini.", "coreheads.tasks.smol."))

    @property
    def folder(self) -> Path:
        if not self.module.startswith("coreheads.tasks."):  # included, and loaded already
            return Path(str(import_module(self.module).__file__)).resolve().parent
        return Path(__file__).resolve().parent / self.module.split(".")[-2]

    @property
    def yaml(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def functions(self) -> TaskFunctions:
        """The task's module."""
        return load(self.module)

    def split(self, name: str) -> Split:
        """UserError for a split that the task does not have."""
        if name not in self.splits:
            why = f" ({self.no_regions})" if name == "profile" and self.no_regions else ""
            raise UserError(
                f"split: {name!r}, {self.name} has {', '.join(self.splits)}{why}{nearest(name, self.splits)}"
            )
        return self.splits[name]

    def check_profile(self, split: str, needing: str | None = "RAM") -> None:
        """UserError where heads cannot be found on this task and split.

        Args:
            split: Its name.
            needing: The score that needs ground-truth regions, in words; None where the score asked for needs none.
        """
        if self.no_regions and needing:
            raise UserError(
                f"task {self.name}: has no ground-truth regions ({self.no_regions}), and {needing} needs them: it "
                "measures the attention to them; profile on another task, see `coreheads tasks`"
            )
        self.split(split)

    def settings(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The options with their defaults. UserError for one that the task does not have, or of another kind."""
        return complete(self.name, self.options, options)

    def source(self, data_root: str | Path | None = None, options: Mapping[str, Any] | None = None) -> Source:
        """Where the task's files are; makes data of ours, and fetches and unpacks what the hub has as archives.

        Args:
            data_root: The folder that holds <benchmark>/; None or ``hub`` is the Hugging Face hub.
            options: The task's, where they are not the defaults.

        Raises:
            UserError: There is nothing at that place; the message says what to do.
        """
        source = self._source(data_root, self.settings(options), make=True)
        if source is None:
            raise UserError(
                f"task {self.name}: cannot be read from the hub as it is published; give --data-root (in lmms-eval: "
                f"dataset_kwargs.data_root), the folder that holds {self.benchmark}/; `coreheads tasks {self.name}` "
                "prints its tree"
            )
        if not source.is_hub and not Path(source.place).is_dir():
            raise UserError(
                f"{source.place}: no such folder, expected the data of {self.name} "
                f"(`coreheads tasks {self.name} --data-root {data_root}` prints the tree)"
            )
        return source

    def _source(self, data_root: str | Path | None, settings: Mapping[str, Any], make: bool) -> Source | None:
        """A place that need not exist; None where it would be the hub, which does not have the files."""
        if self.is_made:
            made: Any = import_module(f"coreheads.tasks.{self.folder.name}.data")
            return Source(str(made.benchmark_folder(self.benchmark, data_root, make)))
        if data_root is not None and str(data_root) != "hub":
            return Source(str(Path(data_root).expanduser() / self.benchmark))
        source, names = Source(f"{HUB}{self.hub}"), self.functions().archives(settings)
        if self.hub and names:
            return Source(str(archives.unpacked(source, names) if make else archives.unpack_folder(source)))
        return source if self.hub else None

    def expected(
        self, data_root: str | Path | None = None, split: str = "test", options: Mapping[str, Any] | None = None
    ) -> list[Expected]:
        """What ``records`` and the media need, and whether it is on this machine; makes and fetches nothing."""
        wanted, settings, functions = self.split(split), self.settings(options), self.functions()
        source = self._source(data_root, settings, make=False) or Source(f"<data root>/{self.benchmark}")
        files = dict(functions.expected(wanted.source, settings))
        if wanted.apart_from is not None:
            why = f"to leave out what split {wanted.apart_from} has"
            for name, what in functions.expected(wanted.apart_from, settings):
                files.setdefault(name, f"{what}, {why}")
        return [Expected(source, name, what) for name, what in files.items()]

    def records(
        self,
        split: str = "test",
        limit: int | None = None,
        data_root: str | Path | None = None,
        *,
        family: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> list[Doc]:
        """The first samples of a split; no media are opened.

        Args:
            split: Name of the split.
            limit: Number of samples; None: all.
            data_root: The folder that holds <benchmark>/; None or ``hub`` is the Hugging Face hub.
            family: The model's ``model_type``, on which prompts and coordinates may depend.
            options: The task's, where they are not the defaults.

        Returns:
            The samples; those that cannot be used are among them, with the reason under ``bad``.

        Raises:
            UserError: The set is missing, empty, or has no sample of use.
        """
        wanted = self.split(split)
        settings = self.settings(options)
        source = self.source(data_root, settings)
        most = settings[self.drawn] if self.drawn else None
        settings |= {self.drawn: None} if self.drawn else {}  # drawn here, from what the split leaves
        docs = self.functions().records(source, wanted.source, settings)
        if not self.is_made:
            if wanted.apart_from:
                others = {doc["group"] for doc in self.functions().records(source, wanted.apart_from, settings)}
                docs = [doc for doc in docs if doc["group"] not in others]
            docs = drawn(chosen(docs, wanted), most)
        if not docs:
            raise UserError(f"task {self.name}: no records in split {split} of {source.place}")
        if all("bad" in doc for doc in docs):
            raise UserError(f"task {self.name}: none of {len(docs)} records can be used: {docs[0]['bad']}")
        docs = distinct(docs)[:limit]
        return [doc | {"family": family} for doc in docs] if self.by_family else docs

    def messages(self, doc: Doc) -> list[dict[str, Any]]:
        """The prompt in the chat format of lmms-eval and transformers; images as PIL, videos as path."""
        usable(doc)
        messages = self.functions().messages(doc)
        for part in (part for turn in messages for part in turn["content"] if part["type"] == "text"):
            if not encodable(part["text"]):
                raise BadSample(f"{self.record_id(doc)}: the prompt holds half a character, expected whole ones")
        return messages

    def query(self, doc: Doc) -> str:
        """The words that name what is looked for; they stand in the prompt."""
        usable(doc)
        return self.functions().query(doc)

    def regions(self, doc: Doc) -> list[Region]:
        """Where the answer is; empty where the benchmark does not say."""
        usable(doc)
        return self.functions().regions(doc)

    def target(self, doc: Doc) -> str:
        """A right answer as the prompt asks for it."""
        usable(doc)
        return self.functions().target(doc)

    def answer(self, doc: Doc) -> str | None:
        """``target``, for what reads a right answer; None where the benchmark gives none."""
        return self.target(doc).strip() or None

    def record_id(self, doc: Doc) -> str:
        return str(doc["record_id"])

    def problems(self, doc: Doc) -> list[str]:
        """What is odd about a record that can be used nevertheless."""
        return self.functions().problems(doc)

    def variant(self, options: Mapping[str, Any] | None = None) -> str | None:
        """What a figure of this task must be quoted with, where there is a choice that changes it."""
        return self.functions().variant(self.settings(options))

    def doc_scores(self, doc: Doc, response: str) -> dict[str, float]:
        """A response's scores by ``metrics`` and names of some samples only (unreadable: wrong, ``unparsed`` 1).

        Raises:
            BadSample: The sample itself cannot be scored.
        """
        usable(doc)
        return self.functions().scores(doc, response)

    def details(self, doc: Doc, response: str, scores: Mapping[str, float]) -> dict[str, Any]:
        """What each of ``aggregates`` needs to know of one response, whose scores are known."""
        return self.functions().details(doc, response, scores)

    def fingerprint(self, docs: Sequence[Doc]) -> str:
        """Hash of what the records show, ask and expect, their media by contents, whatever folder they lie in."""
        return json_hash(fingerprints(docs, self.functions().media))[:16]
