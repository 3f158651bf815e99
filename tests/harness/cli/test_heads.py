from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from profile_samples import make_profile, random_profile
from typer.testing import CliRunner

from coreheads.cli import heads
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.report import profile_text


def call(*arguments: object) -> str:
    """Output of ``coreheads heads ...``; a UserError passes, as the command line's own frame expects."""
    result = CliRunner().invoke(heads.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def core_profile(seed: int = 0) -> HeadProfile:
    mean = np.random.default_rng(seed).uniform(0, 0.01, (6, 16))
    for head in ((2, 8), (2, 9), (3, 4), (3, 5), (4, 0)):
        mean[head] += 0.5
    skipped = {"split": "profile", "n": 12, "records_hash": "ff", "mean": mean.tolist(), "skipped": {"no query": 3}}
    plain = {**skipped, "n": 20, "records_hash": "ee", "skipped": {}}
    return make_profile(mean, kv_heads=8, tasks={"images": skipped, "pages": plain}, split_half=0.97)


def test_show_says_what_a_reader_wants_to_know(tmp_path: Path) -> None:
    profile = core_profile()
    path = profile.save(tmp_path / "heads.json")
    text = call("show", path, "--top", 7, "--out", tmp_path / "heads.png")
    assert "someone/a-model (qwen3_vl)" in text
    assert "images: 12 samples of split profile (3 skipped: no query)" in text
    share = 100 * profile.share(profile.top(0.05))
    assert f"The top 5 % (5 heads of 96) hold {share:.1f} % of all RAM; spread evenly they would hold 5.2 %." in text
    assert "Their layers, with the number of heads: 2 (2), 3 (2), 4 (1); layers go from 0 to 5." in text
    assert "Split-half agreement: 0.970" in text
    assert len(re.findall(r"^ +\d+ +L\d+H\d+ ", text, re.MULTILINE)) == 7
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d+ +L\d", line)]
    layer, head = profile.ranking()[0]
    assert rows[0][:4] == ["1", f"L{layer}H{head}", str(layer), str(head)]
    assert "Does each task find the same heads?" in text
    picture = Image.open(tmp_path / "heads.png")
    assert min(picture.size) > 300


def test_show_says_which_heads_stand_clear(tmp_path: Path) -> None:
    profile = core_profile()
    path = replace(profile, split_half_shared=[1.0] * 5 + [0.9] * 91).save(tmp_path / "heads.json")
    text = " ".join(call("show", path, "--fraction", 0.1).split())
    assert "The first 5 heads stand clear of the rest: RAM of at least 0.4" in text
    assert "two halves of the samples have 5.0 of these 5 in common (by chance 0.3)." in text
    assert "Two halves of the samples have 9.0 of these 10 in common (by chance 1.0)." in text
    assert "Behind the first 5 another sample may choose other heads in part: 5 of 10 in the top 10 % (4.0 in" in text
    older = " ".join(call("show", profile.save(tmp_path / "older.json")).split())
    assert "at the upper end of any other head's. Does each task" in older
    assert "in common" not in older


def test_show_without_split_half_and_tasks(tmp_path: Path) -> None:
    path = make_profile([[0.0, 0.0]], tasks={}, split_half=None, provenance={}).save(tmp_path / "heads.json")
    text = call("show", path)
    assert "Split-half agreement: not measured" in text
    assert "hold 0.0 % of all RAM" in text


def test_show_names_what_is_wrong(tmp_path: Path) -> None:
    path = core_profile().save(tmp_path / "heads.json")
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        call("show", tmp_path / "none.json")
    with pytest.raises(UserError, match=r"fraction is 2\.0"):
        call("show", path, "--fraction", 2)
    with pytest.raises(UserError, match=r"--out is .*heads\.svg, expected a file that ends in \.png"):
        call("show", path, "--out", tmp_path / "heads.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        call("show", path, "--out", tmp_path / "file" / "heads.png")


def test_compare_a_profile_with_itself(tmp_path: Path) -> None:
    path = core_profile().save(tmp_path / "heads.json")
    text = call("compare", path, path)
    assert re.search(r"^ *5 % +5 +5 +0\.3 +1\.00$", text, re.MULTILINE)
    assert re.search(r"^ *10 % +10 +10 +1\.0 +1\.00$", text, re.MULTILINE)
    assert re.search(r"^ *1 % +1 +1 +0\.0 +1\.00$", text, re.MULTILINE)
    assert "Rank correlation (Spearman): 1.000 over all 96 heads" in text
    assert "none: they have the same ranks." in text
    assert "Note: A and B were made from the same records" in text
    assert "of other contents" not in text


def test_compare_says_that_the_weights_were_others(tmp_path: Path) -> None:
    profile = core_profile()
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, weights in zip(paths, "ab", strict=True):
        known = {"weights": weights, "settings": "c", "processor": "d", "\x1b[31m": weights}
        replace(profile, model={**profile.model, "fingerprint": known}).save(path)  # type: ignore[arg-type]
    assert "Note: A and B were found on checkpoints of other contents: weights." in call("compare", *paths)


def test_compare_finds_the_head_that_moved(tmp_path: Path) -> None:
    first = core_profile()
    mean = first.mean.copy()
    mean[2, 8] = 0.0
    second = make_profile(mean, kv_heads=8, normalization="vision")
    text = call("compare", first.save(tmp_path / "a.json"), second.save(tmp_path / "b.json"), "--moved", 1)
    before = first.ranking().index((2, 8)) + 1
    assert re.search(rf"^ *L2H8 +{before} +96 +-{96 - before} ", text, re.MULTILINE)
    assert re.search(r"^ *5 % +5 +4 +0\.3 +0\.67$", text, re.MULTILINE)
    assert "A and B differ in score / normalization (ram / none and ram / vision): compare ranks" in text


def test_profiles_of_different_shape_cannot_be_compared(tmp_path: Path) -> None:
    first = random_profile(6, 16).save(tmp_path / "a.json")
    second = random_profile(36, 32).save(tmp_path / "b.json")
    with pytest.raises(UserError, match=r"b.json: has 36 layers x 32 heads, but .*a.json has 6 x 16"):
        call("compare", first, second)


def test_compare_of_constant_scores_says_so() -> None:
    flat, other = make_profile(np.ones((2, 4))), make_profile(np.arange(8).reshape(2, 4))
    assert "undefined (all scores of one are equal)" in profile_text.comparison(flat, other)


@pytest.mark.parametrize("command", ["show", "compare"])
def test_help_has_an_example(command: str) -> None:
    assert f"coreheads heads {command} heads" in " ".join(call(command, "--help").split())
