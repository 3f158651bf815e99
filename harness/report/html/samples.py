"""The samples inside a page that is one file: all that fits, those first that methods answer otherwise."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, cast

from coreheads.store.asked import AnswerFile, ShownPicture, ShownSample
from coreheads.text import json_text

BYTES = 1_000_000
"""Of all that a page holds of samples, packed, at most."""
TEXT_BYTES = 300_000
"""Of that, words and answers, at most; the rest is for pictures."""
SMALL = 3_000
"""Where there is less room than this, no further picture is looked at."""
CHARACTERS = 600
"""Of an answer or a prompt; what is longer stands in the files beside the page."""


class Samples(NamedTuple):
    """What a page shows of samples."""

    groups: Sequence[AnswerFile]
    """Of each run, model and task."""
    names: Sequence[str]
    """Of their files beside the page, in ``answers``."""
    picture: Callable[[AnswerFile, ShownPicture], bytes]
    """Gives a picture's JPEG file."""


def preferred(group: AnswerFile) -> list[ShownSample]:
    """The samples, those first that most methods answer otherwise than the dense model; where as many do, those that
    more conditions of any kind do; else as they stand."""
    patches = [(by["patch"], by["draw"] is not None) for by in group["conditions"]]

    def key(sample: ShownSample) -> tuple[int, int]:
        return standing(patches, [answer is not None and answer[2] for answer in sample["answers"]])

    return sorted(group["samples"], key=key)


def standing(conditions: Sequence[tuple[str, bool]], changed: Sequence[bool]) -> tuple[int, int]:
    """What samples are sorted by: (minus how many methods, minus how many conditions answer one otherwise).

    Args:
        conditions: Each one's patch, and whether it is drawn at random; those that switch heads off are no methods.
        changed: Which of them answer otherwise than the dense model.
    """
    methods = sum(
        other for (patch, drawn), other in zip(conditions, changed, strict=True) if not drawn and patch != "ablate"
    )
    return -methods, -sum(changed)


def packed(samples: Samples, most: int = BYTES) -> str:
    """What the page's script unpacks: gzip of JSON in base64, of at most ``most`` characters; empty where not even the
    conditions' names fit.

    most: fewer where the page has less room.
    """
    groups, names, picture = samples
    turns = list(_turns(groups))
    limit = most * TEXT_BYTES // BYTES
    while len(data := _pack(_content(groups, names, turns, {}))) > limit and turns:
        turns = turns[: len(turns) * min(9, 10 * limit // len(data)) // 10]
    room, urls = most - len(data), dict[int, list[str]]()
    for group, sample in turns:
        if room < SMALL:
            break
        files = [picture(group, shown) for shown in sample["pictures"]]
        # gzip takes out most of what base64 adds, and the second base64 adds it again: 4/3 of a file, and some
        cost = sum(len(file) * 7 // 5 + 400 for file in files)
        if cost <= room:
            room -= cost
            urls[id(sample)] = [f"data:image/jpeg;base64,{base64.b64encode(file).decode('ascii')}" for file in files]
    data = _pack(_content(groups, names, turns, urls))
    return data if len(data) <= most else ""


def _turns(groups: Sequence[AnswerFile]) -> Iterator[tuple[AnswerFile, ShownSample]]:
    """Each group's first, then each one's second, and so on."""
    for row in zip_longest(*(((group, sample) for sample in group["samples"]) for group in groups)):
        yield from filter(None, row)


def _content(
    groups: Sequence[AnswerFile],
    names: Sequence[str],
    turns: Sequence[tuple[AnswerFile, ShownSample]],
    urls: Mapping[int, Sequence[str]],
) -> list[dict[str, Any]]:
    chosen = {id(sample) for _, sample in turns}
    return [
        {
            **group,
            "file": name,
            "samples": [_cut(sample, urls.get(id(sample), ())) for sample in group["samples"] if id(sample) in chosen],
        }
        for group, name in zip(groups, names, strict=True)
    ]


def _cut(sample: ShownSample, urls: Sequence[str]) -> ShownSample:
    pictures = [cast(ShownPicture, {**shown, "src": url}) for shown, url in zip(sample["pictures"], urls, strict=False)]
    lacking = (
        "left out of this file for its size; where the page is served, all can be seen"
        if sample["pictures"] and not urls
        else None
    )
    return {
        **sample,
        "prompt": _short(sample["prompt"]),
        "texts": [_short(text) for text in sample["texts"]],
        "pictures": pictures,
        "missing": lacking or sample["missing"],
    }


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} … ({len(text) - CHARACTERS} more characters)"


def _pack(content: Any) -> str:
    data = json_text(content, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")
