"""Valid files made invalid: bytes cut and flipped, values replaced, keys removed and added."""

from __future__ import annotations

import copy
import json
import os
import re
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("COREHEADS_EXAMPLES", "36"))
"""Broken inputs a test; more of them, and others each time, where the environment asks for them."""

many = settings(
    max_examples=EXAMPLES,
    derandomize="COREHEADS_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.0, 0.5, -0.5, 1.5, 2, 1e308, -1e308, 10**30),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "a", "0.05", "../../etc/passwd", "/dev/zero", "~", "none"),
    *("top", "\0", "\ud800", "ä\n\x1b[31m", "x" * 3000, [], {}, [[]], [None], [1], ["a"], [[0, 0]]),
    *({"a": 1}, {"": None}, DEEP),
]
"""What may stand where something else was expected."""

STORED = [*ODD, 10**400, 10**12, 2**63, 1.7e308, -1.7e308, 5e-324, [True], {"a": [1, {"b": 2}]}, ["a"] * 20_000, "run"]
"""The same in the files of a run: numbers that are finite alone and not as a sum, that no float holds, many of one."""


@st.composite
def mutated_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut short, bytes changed, removed or put in; now and then something else altogether."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "insert", "remove", "double", "other"]))
    if kind == "other":
        return draw(
            st.sampled_from([b"", b"\0", b"\xff\xfe", b"[" * 100_000, b"{" * 3000, b"\x89PNG\r\n\x1a\n", b"%PDF-1.7"])
        )
    place = draw(st.integers(0, len(data)))
    if kind == "cut":
        return data[:place]
    if kind == "double":
        return data[:place] + data
    more = draw(st.binary(min_size=1, max_size=4))
    if kind == "insert":
        return data[:place] + more + data[place:]
    if kind == "remove":
        return data[:place] + data[place + draw(st.integers(1, 40)) :]
    return data[:place] + more + data[place + len(more) :]


@st.composite
def mutated_tree(draw: st.DrawFn, tree: Any, most: int = 2, values: list[Any] = ODD) -> Any:
    """Up to ``most`` values of a tree of mappings and lists replaced, removed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        places = list(all_places(tree))
        if not places:
            return draw(st.sampled_from(values))
        node, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "number", "wrap"]))
        odd = copy.deepcopy(draw(st.sampled_from(values)))
        if kind == "replace":
            node[key] = odd
        elif kind == "number":
            node[key] = draw(st.one_of(st.integers(), st.floats()))
        elif kind == "wrap":
            node[key] = [node[key]]
        elif kind == "remove":
            del node[key]
        elif isinstance(node, dict):
            node[draw(st.sampled_from(["", "added", str(key) + "s", "\ud800", "a.b"]))] = odd
        else:
            node.insert(0, odd)
    return tree


@st.composite
def repeated_key(draw: st.DrawFn, data: bytes) -> bytes:
    """JSON in which one of the objects, however deep, has one of its keys twice; everything else is as it was."""
    places = [match.start() for match in re.finditer(rb'(?<=[{,])\s*"(?:[^"\\]|\\.)*":', data)]
    at = draw(st.sampled_from([place for place in places if _is_key(data, place)]))
    key = data[at : data.index(b":", at) + 1]
    return data[:at] + key + b" " + draw(st.sampled_from([b"null", b"0", b'"a"', b"[]", b"{}"])) + b"," + data[at:]


@st.composite
def lost_lines(draw: st.DrawFn, data: bytes) -> bytes:
    """Without one line or the last few, cut at a line's end: what is left is well-formed."""
    lines = data.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines) - 1))
    return b"".join(lines[:place] + (lines[place + 1 :] if draw(st.booleans()) else []))


def _is_key(data: bytes, place: int) -> bool:
    """Whether the place is not within a text."""
    before = re.sub(rb"\\.", b"", data[data.rfind(b"\n", 0, place) + 1 : place])
    return before.count(b'"') % 2 == 0


def all_places(node: Any) -> Any:
    """Every (mapping or list, key) of a tree."""
    for key, part in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(part, dict | list):
            yield from all_places(part)


def json_bytes(tree: Any) -> bytes:
    """As JSON, which may hold NaN and halves of surrogate pairs here."""
    return json.dumps(tree).encode()
