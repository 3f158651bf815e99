"""The Hugging Face hub's data sets, one file at a time, through huggingface_hub and its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from coreheads.errors import UserError, one_line
from coreheads.files import is_hidden, matching

HELP = (
    "give --data-root (lmms-eval: dataset_kwargs.data_root) with a local copy; `coreheads tasks NAME` prints the tree"
)


TIMEOUT_S = 10.0


@lru_cache(maxsize=4096)
def fetch(repository: str, revision: str | None, name: str) -> Path | None:
    """The file in the cache, fetched when it is not there yet; None where the data set has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        with _asking(repository):
            return Path(hf_hub_download(repository, name, repo_type="dataset", revision=revision))
    except LocalEntryNotFoundError:  # not "no such file", but "offline and not in the cache"
        raise UserError(f"hub:{repository}/{name}: cannot be reached and is not in the cache; {HELP}") from None
    except EntryNotFoundError:
        return None


@lru_cache(maxsize=32)
def names(repository: str, revision: str | None) -> tuple[str, ...]:
    """Names of all files of the data set, sorted; without a connection those that the cache holds, if any."""
    from huggingface_hub import HfApi

    try:
        with _asking(repository):
            # where there is no connection this says so at once; the list is asked for again and again, which is logged
            HfApi().dataset_info(repository, revision=revision, timeout=TIMEOUT_S)
            listed = HfApi().list_repo_files(repository, repo_type="dataset", revision=revision)
    except UserError:
        listed = cached(repository, revision)
        if not listed:
            raise
    return tuple(sorted(listed))


def matches(pattern: str, name: str) -> bool:
    """Whether a relative name, or a folder it lies in, fits a pattern (* stays in a folder); no hidden one does."""
    fits = re.match("[^/]*".join(map(re.escape, pattern.split("*"))) + r"(?:/|\Z)", name) is not None
    return fits and not any(map(is_hidden, name.split("/")))


def cached(repository: str, revision: str | None) -> list[str]:
    """Names of the files that the cache holds of one snapshot, sorted; no network.

    The snapshot is the revision's, by its name or what the cache knows it to stand for; without a revision the main
    one's, or, where the cache does not know which that is, the newest.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}"
    ref = folder / "refs" / (revision or "main")
    name = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    snapshots = matching(folder / "snapshots", name or "*")
    if not snapshots:
        return []
    snapshot = max(snapshots, key=lambda path: path.stat().st_mtime)
    return [str(path.relative_to(snapshot)) for path in matching(snapshot, "**/*") if path.is_file()]


@contextmanager
def _asking(repository: str) -> Iterator[None]:
    """Turn whatever goes wrong into a UserError, but for a file that is not there."""
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

    try:
        yield
    except EntryNotFoundError:
        raise
    except GatedRepoError:
        problem = "is gated; accept its terms on its page and log in with `hf auth login`, or"
    except RepositoryNotFoundError:
        problem = "no such data set, or it needs a login (`hf auth login`); or"
    except Exception as error:  # whatever the client's HTTP library raises, which has changed between its versions
        problem = f"cannot be reached ({one_line(error)});"
    else:
        return
    raise UserError(f"hub:{repository}: {problem} {HELP}")
