"""The printed documents: what they may hold, where facts stand, and that the splits are apart."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.smol import data
from coreheads.tasks.smol.print import CELL, FONTS, SIDE, glyphs, page, print_document, words
from coreheads.tasks.smol.prompts import begins
from coreheads.tasks.smol.world import (
    NAMES,
    RELATIONS,
    SPLITS,
    make_document,
    of_split,
    values_of,
    vocabulary,
    words_of,
)

TASKS = [name for name in registry.names() if name.startswith("coreheads_smol_")]


def test_every_word_of_the_world_is_printed_and_no_two_look_alike() -> None:
    assert set(vocabulary()) <= set(words())
    assert len(set(words())) == len(words())
    for font in FONTS:
        drawn = {glyph.tobytes() for glyph in glyphs(font)}
        assert len(drawn) == len(words())
        assert glyphs(font).any((1, 2)).all()


def test_the_splits_share_no_name_and_no_value() -> None:
    profile, test = ({*of_split(NAMES, split)} for split in SPLITS)
    assert not profile & test
    for relation in RELATIONS:
        first, second = (values_of(relation, split) for split in SPLITS)
        assert not set(first) & set(second)
        assert len(first) >= 4
        assert len(second) >= 4


@settings(max_examples=25)
@given(st.sampled_from(SPLITS), st.integers(2, 12), st.integers(0, 10**6))
def test_facts_stand_where_they_are_said_to_stand(split: str, pages: int, seed: int) -> None:
    document = make_document(random.Random(seed), split, pages * 144 - 12, data.BEFORE, data.BEYOND)
    facts = document.facts
    assert sorted(fact.relation for fact in facts) == sorted(RELATIONS)
    assert len({fact.name for fact in facts}) == len(facts)
    assert len({fact.value for fact in facts}) == len(facts)
    printed, where = print_document(document)
    assert len(printed) == pages
    told = [word for sentence, _ in document.sentences for word in words_of(sentence)]
    first = min(told.index(fact.name) for fact in facts)
    assert first >= data.BEFORE - 12
    for fact in facts:
        cells = []
        for region in where[fact]:
            left, top, right, bottom = (round(value * SIDE) for value in region.box or ())
            assert bottom == top + 1
            cells += [(region.media, top, column) for column in range(left, right)]
        shown = [printed[number][row * CELL :, column * CELL :][:CELL, :CELL] for number, row, column in cells]
        expected = page(words_of(fact.sentence))
        for place, picture in enumerate(shown):
            row, column = divmod(place, SIDE)
            np.testing.assert_array_equal(picture, expected[row * CELL :, column * CELL :][:CELL, :CELL])


def test_a_word_without_a_glyph_is_named() -> None:
    with pytest.raises(UserError, match="'Zürich' has no glyph"):
        page(["The", "Zürich"])


def test_a_question_of_another_world_is_no_question() -> None:
    assert begins("When is the birthday of Maria?") == "The birthday of Maria is in"
    with pytest.raises(BadSample, match="expected one about a relation"):
        begins("What is the shoe size of Maria?")


@pytest.mark.parametrize("name", TASKS)
def test_a_right_answer_is_right_and_another_is_not(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "DOCUMENTS", {"profile": 1, "test": 2})
    task = registry.get(name)
    data.write(tmp_path / task.benchmark, task.benchmark)
    docs = task.records("test", data_root=tmp_path)
    assert len(docs) == 24
    assert len({task.record_id(doc) for doc in docs}) == len(docs)
    for doc, other in zip(docs[:12], docs[12:24], strict=True):
        right = task.doc_scores(doc, task.target(doc))
        assert right[task.metric] == 1
        assert right["unparsed"] == 0
        if doc["answer"] != other["answer"]:
            assert task.doc_scores(doc, task.target(other))[task.metric] < 1
        assert task.doc_scores(doc, " ")["unparsed"] == 1
        text = task.messages(doc)[0]["content"][-1]["text"]
        assert text.count(task.query(doc)) == 1
        assert task.regions(doc)


def test_another_seed_gives_other_documents() -> None:
    one, other = (data.document("doc_450", "test", 0, seed) for seed in (0, 1))
    assert one != other
    assert one == data.document("doc_450", "test", 0)


@pytest.mark.parametrize(("name", "kind"), [("doc_450", "*.pdf"), ("docqa", "*.png"), ("slides", "*.mp4")])
def test_what_a_record_shows_is_in_its_fingerprint(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "DOCUMENTS", {"profile": 1, "test": 1})
    data.write(tmp_path / name, name)
    task = registry.get(f"coreheads_smol_{name}")
    before = task.fingerprint(task.records("test", data_root=tmp_path))
    assert before == task.fingerprint(task.records("test", data_root=tmp_path))
    shown = min((tmp_path / name / "test").rglob(kind))
    whole = bytearray(shown.read_bytes())
    whole[len(whole) // 2] ^= 1
    shown.write_bytes(whole)
    assert task.fingerprint(task.records("test", data_root=tmp_path)) != before
