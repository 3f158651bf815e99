"""The code that a run's answers come from, by its contents: ours, and that of other packages' patches and scores."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from coreheads.adapters.checkpoints.installed import described
from coreheads.adapters.families.registry import families
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.hashing.contents import file_hash
from coreheads.hashing.source_code import code_hash

_ASKING = ("coreheads.adapters.lmms_eval.model", "coreheads.adapters.patches.registry")
_ROOMS = (
    *(f"coreheads.adapters.{name}" for name in ("families", "generation", "lmms_eval", "patches", "prompt")),
    "coreheads.media",
)


def model_code(id: str) -> str | None:
    """SHA-256 (hex) of ours that asks this model, and of another package's family the file that it is in; None where
    its family is not known."""
    about = described(id)
    if about is None or about["model_type"] not in families():
        return None
    own = families()[about["model_type"]].partition(":")[0]
    ours = own.startswith("coreheads.")
    more = [] if ours else [" ".join(_files([own])).encode()]
    return code_hash([*([own] if ours else []), *_ASKING], _ROOMS, ["coreheads.adapters.families.registry"], more)


def plugin_code(config: RunConfig) -> dict[str, str]:
    """SHA-256 (hex) of the source file of each patch and head score of the run that is not ours, by its name.

    Of a patch also of the classes that it derives from; what a file imports does not count.
    """
    from coreheads.adapters.patches.registry import PATCHES, patch_class
    from coreheads.retrieval.head_scores import SCORES, head_score

    used: dict[str, list[str]] = {}
    patches = [group.patch for group in config.cells] + [group.on.patch for group in config.cells if group.on]
    for name in patches:
        if name not in PATCHES:
            used[f"patch {name}"] = [kind.__module__ for kind in patch_class(name).__mro__]
    for name in config.profile.scores if config.profile.tasks else ():
        if name not in SCORES:
            used[f"score {name}"] = [head_score(name).function.partition(":")[0]]
    return {name: " ".join(_files(modules)) for name, modules in used.items()}


def _files(modules: Iterable[str]) -> Iterator[str]:
    for name in modules:
        if name.partition(".")[0] not in {"coreheads", *sys.stdlib_module_names}:
            with suppress(ImportError, ValueError, UserError):  # made without a file
                spec = find_spec(name)
                yield file_hash(Path((spec and spec.origin) or ""))
