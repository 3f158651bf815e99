"""Whether a worker on another machine, or of another installation, would give the answers that this one would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from coreheads import environment
from coreheads.errors import UserError
from coreheads.hashing.contents import changed_parts
from coreheads.hashing.source_code import whole_hash
from coreheads.run.replicas.news import About
from coreheads.store.made_from import other_records
from coreheads.store.provenance import MadeFrom

ANSWERS_CHANGE = ("python", "torch", "transformers", "lmms-eval")
"""Packages whose other versions may answer otherwise, but seldom do."""


def check_worker(about: About, made_from: MadeFrom | None) -> str | None:
    """What is to be said of other versions of packages there; None where they are the same.

    Args:
        about: The worker's.
        made_from: What the run is made from, as the driver knows it.

    Raises:
        UserError: It has another version of coreheads, or other code, records or checkpoints.
    """
    own, there = environment.versions(), about.versions
    if there["coreheads"] != own["coreheads"]:
        what = f"coreheads {there['coreheads']}, this machine {own['coreheads']}"
    elif about.code != whole_hash():
        what = "other code of coreheads than this machine"
    elif about.sources and made_from and (different := list(_differences(made_from, about.sources))):
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        what = f"others than this machine of: {'; '.join(different[:3])}{more}"
    else:
        other = [
            f"{name} {there.get(name)}, here {own[name]}" for name in ANSWERS_CHANGE if there.get(name) != own[name]
        ]
        return (
            f"{about.host} has other versions of packages ({'; '.join(other)}): answers may differ" if other else None
        )
    raise UserError(f"--ray: {about.host} has {what}; expected the same on all machines")


def _differences(here: MadeFrom, there: MadeFrom) -> Iterator[str]:
    """What two machines would make one run from that is not the same, as far as both say it."""
    for name in changed_parts(here.get("plugins", {}), there.get("plugins", {})):
        yield f"the file of {name}"
    for name, model in here["models"].items():
        own = cast(dict[str, str], there["models"].get(name, {}))
        yield from (f"{part} of model {name}" for part in changed_parts(cast(dict[str, str], model), own))
    for name, task in here["tasks"].items():
        if name in there["tasks"] and task["code"] != there["tasks"][name]["code"]:
            yield f"the code of task {name}"
        yield from other_records(here, there, name)
