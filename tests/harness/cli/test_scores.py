"""Head scores on the command line: their names, several at once, and several profiles beside each other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from profile_samples import make_profile, random_profile

from coreheads.cli import main
from coreheads.report.profile_comparison import overlaps
from coreheads.retrieval.head_scores import SCORES


def test_help_lists_the_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Head scores: {', '.join(SCORES)}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--score", "qhead"), "score is 'qhead', expected one of ram, "),
        (("--score", "ram", "--score", "ram"), "--score is ram, ram, expected different names"),
        (("--score", "qrhead", "--normalization", "lift"), "normalization is 'lift', expected none: score qrhead"),
    ],
)
def test_wrong_scores_are_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = str(tmp_path / "heads.json")
    assert main(["profile", "tiny", "--tasks", "coreheads_mini_refcocog", "--out", out, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_a_task_without_regions_names_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "tiny", "--tasks", "coreheads_mlvu_dev", "--split", "test", "--score", "visual_hit"]) == 2
    assert "no ground-truth regions" in (line := capsys.readouterr().err)
    assert "score visual_hit needs them" in line


def test_several_profiles_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = random_profile(6, 16)
    mean = first.mean.copy()
    mean[first.ranking()[0]] = 0.0
    others = [make_profile(mean, kv_heads=8, score="qrhead"), replace(first, score="visual_hit")]
    paths = [str(p.save(tmp_path / f"{n}.json")) for n, p in enumerate([first, *others])]
    assert main(["heads", "compare", *paths]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^ *A, B +0 +1 +4 +9 +0\.", text, re.MULTILINE)
    assert re.search(r"^ *A, C +1 +2 +5 +10 +1\.000", text, re.MULTILINE)
    assert re.search(r"^ *by chance +0\.0 +0\.0 +0\.3 +1\.0", text, re.MULTILINE)
    assert "A and B differ in score / normalization (ram / none and qrhead / none)" in text
    assert main(["heads", "compare", paths[0]]) == 2
    assert "1 head profiles are given, expected 2 to 26" in capsys.readouterr().err


def test_overlaps_are_counts_of_shared_heads() -> None:
    profiles = {name: random_profile(6, 16, seed) for seed, name in enumerate("ABC")}
    lines = {line.split("  ")[0].strip(): line.split() for line in overlaps(profiles).splitlines()[2:-1]}
    for one, other in (("A", "B"), ("A", "C"), ("B", "C")):
        shared = len(profiles[one].top(0.1) & profiles[other].top(0.1))
        assert lines[f"{one}, {other}"][5] == str(shared)
