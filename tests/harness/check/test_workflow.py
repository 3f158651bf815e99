"""The workflow that users copy: what it calls is what this version understands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from coreheads.cli import build_app

ROOT = Path(__file__).parents[3]


def steps() -> list[str]:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yml").read_text())
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_its_commands_parse() -> None:
    """With the real command line: every option is known and every argument is there."""
    app = build_app()
    called = [shlex.split(line)[1:] for line in steps() if line.startswith("coreheads ")]
    assert [words[0] for words in called] == ["run", "check"]
    for words in called:
        command = app.commands[words[0]]
        command.make_context(words[0], list(words[1:]))
    assert "--github" in called[1]


@pytest.mark.parametrize("target", ["test", "test-oldest", "lint", "types", "docs"])
def test_its_make_targets_are_those_of_the_own_ci(target: str) -> None:
    own = (ROOT / ".ci" / "run").read_text()
    assert f"make {target}" in own
    assert any(target in shlex.split(line)[1:] for line in steps() if line.startswith("make "))
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
