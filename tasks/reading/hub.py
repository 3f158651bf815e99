"""The Hugging Face hub's data sets, one file at a time, through huggingface_hub and its cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from coreheads.errors import UserError

HELP = (
    "give --data-root (lmms-eval: dataset_kwargs.data_root) with a local copy; `coreheads tasks NAME` prints the tree"
)


@lru_cache(maxsize=4096)
def fetch(repository: str, revision: str | None, name: str) -> Path | None:
    """The file in the cache, fetched when it is not there yet; None where the data set has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(
            _asked(
                repository,
                lambda: hf_hub_download(repository, name, repo_type="dataset", revision=revision),
                passed=EntryNotFoundError,
            )
        )
    except LocalEntryNotFoundError:  # not "no such file", but "offline and not in the cache"
        raise UserError(f"hub:{repository}/{name}: cannot be reached and is not in the cache; {HELP}") from None
    except EntryNotFoundError:
        return None


@lru_cache(maxsize=32)
def names(repository: str, revision: str | None) -> tuple[str, ...]:
    """Names of all files of the data set, sorted; without a connection those that the cache holds, if any."""
    from huggingface_hub import HfApi

    try:
        found = _asked(repository, lambda: HfApi().list_repo_files(repository, repo_type="dataset", revision=revision))
    except UserError:
        found = _cached(repository, revision)
        if not found:
            raise
    return tuple(sorted(found))


def count(repository: str, revision: str | None, pattern: str) -> int:
    """How many files the cache holds that match; no network."""
    return sum(matches(pattern, name) for name in set(_cached(repository, revision)))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))


def matches(pattern: str, name: str) -> bool:
    """Whether a relative name, or a folder it lies in, fits a pattern whose * stays in a folder."""
    match = _compiled(pattern).match(name)
    return match is not None and (match.end() == len(name) or name[match.end()] == "/")


def _cached(repository: str, revision: str | None) -> list[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}" / "snapshots"
    return [
        str(path.relative_to(snapshot))
        for snapshot in folder.glob(revision or "*")
        for path in snapshot.rglob("*")
        if path.is_file()
    ]


def _asked(repository: str, ask: Callable[[], Any], passed: type[Exception] | tuple[()] = ()) -> Any:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return ask()
    except passed:
        raise
    except GatedRepoError:
        raise UserError(
            f"hub:{repository}: is gated; accept its terms on its page and log in with `hf auth login`, or {HELP}"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"hub:{repository}: no such data set, or it needs a login (`hf auth login`); or {HELP}"
        ) from None
    except Exception as error:  # whatever the client's HTTP library raises, which has changed between its versions
        first = str(error).strip().splitlines()
        raise UserError(
            f"hub:{repository}: cannot be reached ({first[0] if first else type(error).__name__}); {HELP}"
        ) from None
