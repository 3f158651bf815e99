"""Sets that are published in numbered pieces, ``test-00000-of-00002.parquet``: half of one is not the set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_PIECE = re.compile(
    r"(?=.*(?:\d{4}-of-\d{4}|\d-of-\d+\S*\.(?:parquet|jsonl?)(?:\.|$)))"  # part-1-of-2.pdf may be a document of its own
    r"(?P<start>.*?)(?P<number>\d+)-of-(?P<total>\d+)(?P<end>.*)",
    re.DOTALL,
)

CUT_OFF = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")
"""How names end that a download has while it is not finished."""


def numbered(names: Sequence[str]) -> bool:
    """Whether one of the files is a numbered piece of a set."""
    return any(map(_PIECE.fullmatch, names))


def fault(names: Sequence[str]) -> str:
    """What keeps files from being one whole set, by their names alone; empty where nothing does.

    Args:
        names: Relative names of all files of the set, with those of unfinished downloads among them.

    Returns:
        A file's name and what was expected: all pieces of one total are to be there, each once, and nothing else.
    """
    pieces = {name: match for name in names if (match := _PIECE.fullmatch(name))}
    if not pieces:
        return ""
    unfinished = next((name for name in names if name.endswith(CUT_OFF)), None)
    if unfinished is not None:
        return f"{unfinished}: a download that was cut off, expected whole files"
    first, one = next(iter(pieces.items()))
    start, total = one["start"], int(one["total"])
    for name in names:
        piece = pieces.get(name)
        if piece is None or (piece["start"], int(piece["total"])) != (start, total):
            return f"{name}: not of one set with {first}, expected the {total} pieces of one release alone"
    there = Counter(int(piece["number"]) for piece in pieces.values())
    twice = [name for name, piece in pieces.items() if there[int(piece["number"])] > 1]
    if twice:
        same = next(name for name in twice[1:] if int(pieces[name]["number"]) == int(pieces[twice[0]]["number"]))
        return f"{same}: the same piece as {twice[0]}, expected each of {total} once"
    base = int(total in there)  # some count from 1
    if len(there) == total and set(there) == set(range(base, base + total)):
        return ""
    missing = next((number for number in range(base, base + total) if number not in there), None)
    if missing is None:
        return f"{first}: numbered beyond its total, expected {total} pieces"
    ends = {piece["end"] for piece in pieces.values()}
    end = ends.pop() if len(ends) == 1 else "*"
    name = f"{start}{missing:0{len(one['number'])}d}-of-{one['total']}{end}"
    return f"{name}: not there, expected all {total} pieces of the set"
