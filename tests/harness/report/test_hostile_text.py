"""A board of hostile names has the form of one of harmless names, in every format, and says what they are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import hostile
import page_boards
import pytest
from profile_samples import random_profile
from rich.console import Console

from coreheads.files import append_jsonl, read_json, read_jsonl, write_json
from coreheads.report import figures
from coreheads.report.flat import flat
from coreheads.report.html import page as html
from coreheads.report.markdown import to_markdown
from coreheads.report.terminal import show
from coreheads.text import TURNING, csv_cell, encodable, markdown, markdown_code, visible

HARMLESS = tuple(f"name{index}" for index in range(len(hostile.TEXTS)))


def board(texts: tuple[str, ...]) -> dict[str, Any]:
    """Each text wherever text can stand."""
    found, failed, left_out, runs = [], [], [], []
    for text in texts:
        common = dict.fromkeys(("model", "task", "metric", "device", "run", "variant", "unscored_example"), text)
        dense = page_boards.row(**common, **page_boards.speed(1.0), score=-0.5, unscored=2)
        top = {"patch": "hybrid", "selection": "top", "fraction": 0.1, "score": -0.25, "delta": -0.5, "heads": 3}
        found += [dense, page_boards.row(**common, **top, **page_boards.speed(2.0), note=text, aggregates={text: 0.5})]
        failed.append(dict.fromkeys(("run", "model", "task", "what", "reason"), text))
        left_out.append(dict.fromkeys(("run", "what", "reason"), text))
        runs.append(
            page_boards.board([])["runs"][0] | {"name": text, "command": f"coreheads run {text}", "revision": text}
        )
    return page_boards.board(found, failed=failed, left_out=left_out, remarks=list(texts), runs=runs)


EVIL = board(hostile.TEXTS)
PLAIN = board(HARMLESS)


def test_csv() -> None:
    text = "\n".join(flat(EVIL["rows"])) + "\n"
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(lines) == len(EVIL["rows"]) == text.count("\n") - 1
    assert not [found for found in hostile.steering(text) if "##" not in found]
    for line, row in zip(lines, EVIL["rows"], strict=True):
        for name in ("model", "task", "run", "metric", "device", "variant"):
            assert not line[name].lstrip().startswith(("=", "+", "-", "@"))
            assert line[name].removeprefix("'") == visible(row[name].translate(TURNING))
        assert float(line["score"]) == row["score"]
        assert line["score"].startswith("-0."), "our own numbers are numbers"


@pytest.mark.parametrize("text", ["＝1", " =1", "-0.5", "\u200e=1"])
def test_cells_that_begin_like_a_formula_are_text(text: str) -> None:
    assert csv_cell(text).startswith("'")


def test_markdown() -> None:
    text = to_markdown(EVIL)
    assert hostile.blocks(text) == hostile.blocks(to_markdown(PLAIN))
    assert not hostile.steering(text)
    said = hostile.words(text)
    for name in hostile.TEXTS:
        assert visible(" ".join(name.translate(TURNING).split())) in said


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_lines_of_markdown(text: str) -> None:
    plain = visible(" ".join(text.translate(TURNING).split()))
    for form in ("{}", "- {}", "# {}", "word {} word", "1. {}"):
        line = form.format(markdown(text))
        assert hostile.blocks(line) == hostile.blocks(form.format("x")), line
        assert hostile.words(line).strip() == form.removeprefix("- ").removeprefix("# ").removeprefix("1. ").format(
            plain
        )
        assert "://" not in line
        assert "www." not in line
    code = f"- {markdown_code(text)} end"
    assert hostile.blocks(code) == hostile.blocks("- `x` end")
    assert hostile.words(code) == f"{visible(text.translate(TURNING))} end"


@pytest.mark.slow  # many charts
def test_the_page() -> None:
    texts = tuple(" ".join(hostile.TEXTS[start::5]) for start in range(5))
    evil, plain = html.page(board(texts), {}), html.page(board(HARMLESS[:5]), {})
    assert hostile.elements(evil) == hostile.elements(plain)
    drawn = page_boards.packed(evil, "specs")
    assert len(drawn) == len(page_boards.packed(plain, "specs"))
    assert all(json.dumps(text) in json.dumps(drawn) for text in texts)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_terminal(terminal: bool) -> None:
    stream = io.StringIO()
    profiles = {text: random_profile(4, 8) for text in hostile.TEXTS}
    evil = board(hostile.TEXTS) | {"heads": page_boards.board([], profiles)["heads"]}
    show(evil, Path("a\x1b[31m[red]"), Console(file=stream, width=160, force_terminal=terminal, emoji=False))
    output = stream.getvalue()
    assert not hostile.steering(output, coloured=terminal)
    for text in hostile.TEXTS:
        assert f"   {visible(text)}: the top".replace("::", ":\\x3a") in output  # no command, wherever a line is folded


def test_json_and_json_lines(tmp_path: Path) -> None:
    write_json(tmp_path / "board.json", EVIL)
    assert read_json(tmp_path / "board.json") == EVIL
    append_jsonl(tmp_path / "lines.jsonl", *EVIL["rows"])
    assert list(read_jsonl(tmp_path / "lines.jsonl")) == EVIL["rows"]
    for name in ("board.json", "lines.jsonl"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) == text.count("\n"), "some readers end lines at other characters too"
        assert not [char for char in text if char != "\n" and not char.isprintable()]


@pytest.mark.slow
def test_pictures(tmp_path: Path) -> None:
    name = "".join(hostile.TEXTS) + " \\x1b \\"
    common = {"model": name, "task": name, "metric": name, "device": name, "run": name}
    rows = [page_boards.row(**common, **page_boards.speed(1.0))]
    for patch, fraction in (("hybrid", 0.1), ("ablate", 0.05), ("ablate", 0.1)):
        values = {"patch": patch, "params": {}, "selection": "top", "fraction": fraction}
        rows.append(page_boards.row(**common, **values, **(page_boards.speed(2.0) if patch == "hybrid" else {})))
    profile = random_profile(4, 8, score=name)
    content = page_boards.board(rows, {name: profile})
    drawn = figures.draw(content, {("run", name): profile}, tmp_path)
    assert [path.name for path in drawn] == ["heads-0.png", "ablation-0.png", "speed-0.png"]


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_one_line_of_a_terminal(text: str) -> None:
    shown = visible(text)
    assert not hostile.steering(shown)
    assert encodable(shown)
    assert visible(shown) == shown
    if text.isprintable() and not hostile.steering(text):
        assert shown == text


def test_what_only_looks_like_a_command_is_as_it_was() -> None:
    for text in ("std::vector", "a :: b", "c10::Error: x", "##", "# ## x", "::", "x ::"):
        assert visible(text) == text
