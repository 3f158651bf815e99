"""What README and docs tell a reader to type works, and the files that they name are there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import coreheads
from coreheads.cli import build_app

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "docs/**/*.md", "tasks/*/README.md", "adapters/**/README.md", "results/README.md")
CHANGES = "CHANGELOG.md"
"""Names what was, too."""
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for place in PLACES
    for path in sorted(ROOT.glob(place))
    if path.name != CHANGES
}

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)", re.DOTALL)


def blocks(text: str, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(text) if language in languages]


def inline(text: str) -> list[str]:
    return [" ".join(code.split()) for code in INLINE.findall(BLOCK.sub("", text))]


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Command lines of a page without comments, and whether they stand in a block, or only within a sentence."""
    for block in blocks(text, "", "sh", "bash", "shell", "console"):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield re.sub(r"\s+#.*$", "", line).strip(), True
    for code in inline(text):
        yield code, False


def commands(text: str) -> set[tuple[str, bool]]:
    """Those that begin with ``coreheads``."""
    return {(line, whole) for line, whole in lines(text) if re.match(r"coreheads( |$)", line)}


def problem(line: str, whole: bool = True) -> str:
    """Why the command line cannot be typed so, in the words of the command line itself; empty where it can.

    whole: nothing may be missing, as it may where a sentence speaks of a command. ``...`` stands for anything.
    """
    name, *words = shlex.split(line)
    command: Any = build_app()
    context = None
    try:
        while True:
            context = command.make_context(name, list(words), parent=context)
            words = [*context._protected_args, *context.args]
            if not hasattr(command, "commands") or not words:
                return ""
            name, command, words = command.resolve_command(context, words)
    except Exception as error:
        kind, message = type(error).__name__, str(getattr(error, "message", error))
        if kind in ("Exit", "NoArgsIsHelpError"):  # --help; a group of commands
            return ""
        if kind == "MissingParameter" or "requires an argument" in message:
            return f"{kind} {message}" if whole and "..." not in line else ""
        return "" if "..." in line and "unexpected extra" in message else f"{kind} {message}"


def examples() -> Iterator[tuple[str, str]]:
    """(command, line) of what the help of every command gives as examples, each a paragraph."""
    waiting: list[tuple[str, Any]] = [("coreheads", build_app())]
    while waiting:
        name, command = waiting.pop()
        waiting += [(f"{name} {inner}", found) for inner, found in getattr(command, "commands", {}).items()]
        for paragraph in (command.help or "").split("\n\n"):
            if found := re.search(r"(?:^|: )(coreheads \S.*)$", " ".join(paragraph.split())):
                yield name, found[1]


SAID = sorted((page, *found) for page, text in PAGES.items() for found in commands(text))


@pytest.mark.parametrize(("page", "line", "whole"), SAID)
def test_a_command_can_be_typed_as_it_is_written(page: str, line: str, whole: bool) -> None:
    assert problem(line, whole) == ""


@pytest.mark.parametrize(("command", "line"), sorted(examples()))
def test_an_example_of_the_help_can_be_typed(command: str, line: str) -> None:
    assert problem(line) == ""


@pytest.mark.parametrize(
    "line",
    [
        "coreheads runn",
        "coreheads run --nothing",
        "coreheads heads shw heads.json",
        "coreheads bench tiny --context",
        "coreheads profile tiny",
        "coreheads run my.yaml --limit many",
        "coreheads leaderboard runs/a --output board",
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(line: str) -> None:
    assert problem(line)
    assert commands(f"```\n{line}   # so\n```") == {(line, True)}
    assert commands(f"see `{line}`") == {(line, False)}


def test_named_files_are_there() -> None:
    named = r"(?:harness|adapters|tasks|tests|tools|docs|results)/[\w./-]+\.(?:py|md|yaml|json|npz)"
    missing = [
        f"{page}: {code}"
        for page, text in PAGES.items()
        for code in inline(text)
        if re.fullmatch(named, code) and not (ROOT / code).exists()
    ]
    assert missing == []


def test_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page, text in PAGES.items():
        for line, _ in lines(text):
            if named := re.match(r"make ([a-z-]+(?: [a-z-]+)*)(?:\s|$)", line):
                assert set(named[1].split()) <= targets, f"{page}: {line}"


def test_python_and_yaml_can_be_read() -> None:
    for page, text in PAGES.items():
        for code in blocks(text, "python", "py"):
            for node in ast.walk(ast.parse(re.sub(r"^\s*\.\.\.$", "", code, flags=re.MULTILINE))):
                if isinstance(node, ast.ImportFrom) and node.module == "coreheads":
                    assert all(hasattr(coreheads, alias.name) for alias in node.names), page
        for code in blocks(text, "yaml"):
            assert isinstance(yaml.safe_load(code), dict | list), page
