"""VidSTG on a small tree in its published layout: what is shown, asked, looked for and left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from movies import turn
from set_scores import aggregate
from task_prompts import pictures, words
from trees import FAMILY

from coreheads.errors import BadSample
from coreheads.regions import Region
from coreheads.tasks import registry


def test_vidstg_shows_the_segment_alone_and_says_when(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_vidstg")
    docs = task.records("test", data_root=tree("coreheads_vidstg"), options={"frames": 4}, **FAMILY)
    assert [doc["form"] for doc in docs] == ["declarative", "interrogative"] * 2
    # 10 frames a second, 5 scored: 5, 6, 8, 10 ... 32, of which every fourth or so is shown
    shown = [5, 10, 18, 26]
    assert pictures(task, docs[0])[0].size == (96, 64)
    labels = [line for line in words(task, docs[0]).splitlines() if line.endswith(" s:")]
    assert labels == [f"{(frame - 5) / 10:.2f} s:" for frame in shown]
    # of those, 10 and 18 are within the event
    assert task.regions(docs[0]) == [
        Region(media=place, box=((8 + frame) / 96, 8 / 64, (40 + frame) / 96, 48 / 64))
        for place, frame in enumerate(shown)
        if 10 <= frame < 20
    ]


def test_vidstg_duplicates_keep_their_own_ids(tree: Callable[[str], Path]) -> None:
    docs = registry.get("coreheads_vidstg").records("test", data_root=tree("coreheads_vidstg"), **FAMILY)
    assert len({doc["description"] for doc in docs}) == 2
    assert len({doc["record_id"] for doc in docs}) == 4


def test_vidstg_forms_are_reported_apart(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_vidstg"), tree("coreheads_vidstg")
    docs = task.records("test", data_root=root, **FAMILY)
    responses = [task.target(doc) if doc["form"] == "declarative" else "none" for doc in docs]
    scores = aggregate(task, docs, responses)
    assert scores["m_viou_declarative"] == pytest.approx(1.0, abs=0.05)
    assert scores["m_viou_interrogative"] == 0.0
    assert scores["m_viou"] == pytest.approx(scores["m_viou_declarative"] / 2)
    assert scores["official_m_viou"] >= scores["m_viou"]
    assert "official_m_viou" in (task.variant() or "")
    only = task.records("test", data_root=root, options={"form": "interrogative"}, **FAMILY)
    assert {doc["form"] for doc in only} == {"interrogative"}


def test_boxes_are_of_the_video_as_a_player_turns_it(tree: Callable[[str], Path]) -> None:
    """A quarter turn in the file's header: the picture is 64 x 96, and the annotation says 96 x 64."""
    task, root = registry.get("coreheads_vidstg"), tree("coreheads_vidstg")
    path = next((root / "vidstg/vidor/video").glob("*/*.mp4"))
    turn(path, path, (0, 1, -1, 0))
    doc = task.records("test", data_root=root, **FAMILY)[0]
    with pytest.raises(BadSample, match=r"\.mp4: is 64 x 96 pixels, expected the 96 x 64 of the annotation"):
        task.messages(doc)
    turn(path, path, (-1, 0, 0, -1))
    assert task.messages(doc)
