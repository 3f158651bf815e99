"""The samples inside a page of one file: within their bound, the same each time, what methods change first."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
from pathlib import Path
from typing import Any

import answer_files
import hostile
import page_boards
import pytest

from coreheads.report.html import page as html
from coreheads.report.html.samples import BYTES, CHARACTERS, Samples, packed, preferred


def unpacked(data: str) -> list[Any]:
    return json.loads(gzip.decompress(base64.b64decode(data)))  # type: ignore[no-any-return]


def sizes(seed: int) -> tuple[int, int]:
    return 40 + 7 * (seed % 31), 30 + 11 * (seed % 29)


@pytest.mark.parametrize("most", [0, 500, 20_000, 150_000, BYTES])
@pytest.mark.parametrize("length", [5, 2000])
def test_the_bound_holds_for_what_cannot_be_packed(most: int, length: int) -> None:
    draw = random.Random(3)
    groups = [answer_files.group(f"task {number}", 60, run=f"run {number}") for number in range(4)]
    for group in groups:
        for sample in group["samples"]:
            sample["texts"] = ["".join(draw.choices(string.printable, k=length)) for _ in sample["texts"]]
    samples = Samples(
        groups,
        [f"{number}.json" for number in range(4)],
        lambda _, shown: answer_files.jpeg(int(shown["src"]), *sizes(int(shown["src"]))),
    )
    data = packed(samples, most)
    assert len(data) <= most
    assert data == packed(samples, most)
    if most >= 20_000:
        inside = unpacked(data)
        counts = [len(group["samples"]) for group in inside]
        assert max(counts) - min(counts) <= 1, "every task has its share"
        if length < CHARACTERS and most > 100_000:
            assert len(data) > 0.8 * most or all(
                one["pictures"] or one["missing"].startswith("not") for group in inside for one in group["samples"]
            )


def test_what_methods_change_comes_first_and_its_pictures_too() -> None:
    group = answer_files.group("easy", 30)
    order = [sample["id"] for sample in preferred(group)]
    changed = [f"easy/{index}" for index in range(30) if index % 3 == 1 or index == 29]
    assert order[: len(changed)] == changed
    assert order[len(changed) :] == [f"easy/{index}" for index in range(30) if f"easy/{index}" not in changed]
    whole = unpacked(packed(answer_files.of([group])))[0]["samples"]
    assert [sample["id"] for sample in whole] == order
    assert {len(sample["pictures"]) for sample in whole if sample["id"] != "easy/2"} == {1}
    few = unpacked(packed(answer_files.of([group]), 25_000))[0]["samples"]
    pictured = [sample["id"] for sample in few if sample["pictures"]]
    assert 1 < len(pictured) < 30
    assert pictured == [sample["id"] for sample in few if sample["id"] != "easy/2"][: len(pictured)]
    assert all(
        "left out of this file" in sample["missing"] for sample in few[len(pictured) + 1 :] if sample["id"] != "easy/2"
    )


def test_pictures_are_those_of_the_sample() -> None:
    (group,) = unpacked(packed(answer_files.of([answer_files.group()])))
    for sample in group["samples"]:
        for shown in sample["pictures"]:
            head, _, data = shown["src"].partition(",")
            assert head == "data:image/jpeg;base64"
            assert base64.b64decode(data) == answer_files.jpeg(int(sample["id"].split("/")[1]))


def test_long_answers_are_cut_and_say_so() -> None:
    group = answer_files.group()
    group["samples"][0]["texts"][0] = "x" * 10_000
    shown = unpacked(packed(answer_files.of([group])))[0]["samples"][0]["texts"][0]
    assert shown == "x" * CHARACTERS + f" … ({10_000 - CHARACTERS} more characters)"


@pytest.mark.slow  # many charts
def test_a_page_stays_a_page_whatever_samples_say(tmp_path: Path) -> None:
    pages = {}
    for name, word in (("evil", "".join(hostile.TEXTS) + page_boards.EVIL), ("plain", "plain")):
        group = answer_files.group("easy", 12, word, model=f"model {word}")
        group["notes"] = [word]
        content = page_boards.board(page_boards.rows(model="a model", task="easy"))
        pages[name] = html.page(content, {}, (), answer_files.of([group]))
        assert len(pages[name]) < 3_000_000
    assert hostile.elements(pages["evil"]) == hostile.elements(pages["plain"])
    data = pages["evil"].split('id="samples-data">"')[1].partition('"')[0]
    assert page_boards.EVIL in unpacked(data)[0]["samples"][0]["question"]


def test_a_board_without_samples_has_no_such_part() -> None:
    text = html.page(page_boards.board(page_boards.rows(model="a model", task="easy")), {})
    assert 'id="samples"' not in text
