from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profile_samples import make_profile, random_profile

from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.report import profile_text

MODEL = {"id": "else/where", "revision": "x", "model_type": "qwen3_vl", "layers": 6, "heads": 16, "kv_heads": 8}


def test_importing_profiles_loads_no_torch() -> None:
    loaded = "{'torch', 'matplotlib', 'datasets'} & {*sys.modules}"
    code = f"import sys, coreheads.heads.profile, coreheads.report.profile_text; print({loaded})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@settings(max_examples=30)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-1e6, 1e6)),
    st.sampled_from([None, "vision", "lift"]),
    st.none() | st.floats(-1, 1),
    st.none() | st.floats(0, 1),
)
def test_saving_and_loading_keeps_every_digit(
    tmp_path_factory: pytest.TempPathFactory,
    mean: np.ndarray,
    normalization: str | None,
    half: float | None,
    share: float | None,
) -> None:
    shares = None if share is None else [share] * mean.size
    profile = make_profile(mean, normalization=normalization, split_half=half, split_half_shared=shares)
    path = profile.save(tmp_path_factory.mktemp("profile") / "heads.json")
    again = HeadProfile.load(path)
    assert again.to_dict() == profile.to_dict()
    assert ("split_half_shared" in json.loads(path.read_text())) == (shares is not None)
    assert again.source == str(path)


def test_a_layer_takes_one_line_in_the_file(tmp_path: Path) -> None:
    path = random_profile().save(tmp_path / "heads.json")
    lines = path.read_text().splitlines()
    assert sum(line.startswith("  [") for line in lines) == 3 * 6
    assert json.loads(path.read_text())["schema_version"] == 1


def test_selections_of_a_profile() -> None:
    profile = random_profile()
    top = profile.top(0.05)
    assert (profile.shape, profile.count, profile.samples, len(top)) == ((6, 16), 96, 10, 5)
    assert profile.ranking()[:5] == sorted(top, key=lambda head: -profile.mean[head])
    assert not top & profile.bottom(0.5)
    assert profile.layer_matched(top, seed=1) == profile.layer_matched(top, seed=1)
    with pytest.raises(UserError, match="fraction is 2"):
        profile.top(2)


def test_the_clear_top_of_a_profile_and_what_halves_share(tmp_path: Path) -> None:
    mean = np.array([[0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    shares = [0.9, *[0.5] * 7]
    profile = HeadProfile.load(make_profile(mean, split_half_shared=shares).save(tmp_path / "heads.json"))
    assert profile.clear_top() == {"count": 1, "low": 0.9 - 0.01, "high": 0.1 + 0.01, "shared": 0.9}
    assert [profile.shared(1), profile.shared(8)] == [0.9, 0.5]
    older = make_profile(mean)
    assert older.clear_top() == {"count": 1, "low": 0.9 - 0.01, "high": 0.1 + 0.01, "shared": None}
    assert older.shared(1) is None
    alone = {"split": "profile", "n": 1, "records_hash": "a", "mean": mean.tolist()}
    assert make_profile(mean, tasks={"one": alone}).clear_top() is None


def test_the_committed_profile_of_the_embedded_model() -> None:
    """Four core heads by design, noise behind them; written before halves were compared by what they share."""
    profile = HeadProfile.load(Path(__file__).parents[3] / "results" / "embedded" / "heads.json")
    clear = profile.clear_top()
    assert clear is not None
    assert clear["count"] == 4
    assert clear["low"] > 0.9 > 0.1 > clear["high"]


def test_share() -> None:
    profile = make_profile([[3.0, 1.0], [0.0, 0.0]])
    assert profile.share(frozenset({(0, 0)})) == 0.75
    assert profile.share(frozenset()) == 0
    assert make_profile([[0.0, 0.0]]).share(frozenset({(0, 0)})) == 0
    # a head that harms takes nothing from what the others hold
    assert make_profile([[3.0, 1.0], [-9.0, 0.0]]).share(frozenset({(0, 0), (1, 0)})) == 0.75


def test_a_score_of_all_samples_at_once_has_no_intervals(tmp_path: Path) -> None:
    profile = make_profile([[3.0, 1.0], [0.0, -1.0]], score="duo", ci_low=None, ci_high=None, split_half=None)
    read = HeadProfile.load(profile.save(tmp_path / "heads.json"))
    assert read.to_dict() == profile.to_dict()
    assert (read.ci_low, read.ci_high, read.clear_top()) == (None, None, None)
    text = profile_text.ranking_table(read, 2) + profile_text.findings(read) + profile_text.comparison(read, profile)
    assert "Split-half agreement: not measured (the score is one of all samples together)" in text
    assert "clear of the rest" not in text
    assert re.search(r"L0H0 +0 +0 +3\.0000 +none +75\.0 %", text)


def test_scores_cannot_be_changed() -> None:
    given_scores = np.ones((2, 3))
    profile = make_profile(given_scores)
    with pytest.raises(ValueError, match="read-only"):
        profile.mean[0, 0] = 5
    given_scores[0, 0] = 7
    assert profile.mean[0, 0] == 1


def test_a_profile_fits_its_architecture_under_any_name() -> None:
    with pytest.warns(UserWarning, match="found on someone/a-model"):
        random_profile().check_model(MODEL)


@pytest.mark.parametrize(("key", "value"), [("model_type", "llava"), ("layers", 36), ("heads", 32), ("kv_heads", 4)])
def test_a_profile_of_another_model_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = random_profile().save(tmp_path / "heads.json")
    with pytest.raises(UserError, match=f"heads.json: model.{key} is .*, but else/where has {value!r}"):
        HeadProfile.load(path).check_model({**MODEL, key: value})


class _Removed:
    """Not None, which is a value that may stand in the file."""

    def __repr__(self) -> str:
        return "removed"


REMOVED = _Removed()

BROKEN: list[tuple[str, Any, str]] = [
    ("schema_version", REMOVED, "field schema_version is missing"),
    ("schema_version", 2, "schema_version is 2, expected 1"),
    ("schema_version", True, "schema_version is True"),
    ("model", REMOVED, "field model is missing"),
    ("model", [1], "model is a list of 1, expected a JSON object"),
    ("model.id", REMOVED, "field model.id is missing"),
    ("model.id", 5, "model.id is 5, expected a text"),
    ("model.revision", 5, "model.revision is 5, expected a text"),
    ("model.model_type", "", "model.model_type is '', expected a text"),
    ("model.layers", 0, "model.layers is 0, expected a whole number of at least 1"),
    ("model.layers", 3, "mean is a list of 2, expected 3 lists"),
    ("model.heads", 4.0, "model.heads is 4.0, expected a whole number"),
    ("model.heads", "4", "model.heads is '4', expected a whole number"),
    ("model.heads", 6, r"mean\[0\] is a list of 4, expected 6 numbers"),
    ("model.kv_heads", 3, "model.kv_heads is 3, expected a divisor of model.heads, 4"),
    ("model.kv_heads", True, "model.kv_heads is True, expected a whole number"),
    ("model.fingerprint", "ab", "model.fingerprint is 'ab', expected a JSON object"),
    ("model.fingerprint", {"weights": 5}, "model.fingerprint.weights is 5, expected a text"),
    ("score", None, "score is None, expected a text"),
    ("normalization", REMOVED, "field normalization is missing"),
    ("normalization", "softmax", "normalization is 'softmax', expected null, 'vision' or 'lift'"),
    ("normalization", ["vision"], "normalization is a list of 1"),
    ("mean", REMOVED, "field mean is missing"),
    ("mean", {}, "mean is an object, expected 2 lists"),
    ("mean.1", [1, 2, 3], r"mean\[1\] is a list of 3, expected 4 numbers"),
    ("mean.1.2", "0.5", r"mean\[1\]\[2\] is '0.5', expected a finite number"),
    ("mean.1.2", None, r"mean\[1\]\[2\] is None, expected a finite number"),
    ("mean.1.2", True, r"mean\[1\]\[2\] is True, expected a finite number"),
    ("mean.1.2", float("nan"), r"mean\[1\]\[2\] is nan, expected a finite number"),
    ("ci_high.0.0", float("inf"), r"ci_high\[0\]\[0\] is inf, expected a finite number"),
    ("ci_low.0.3", 99, r"ci_low\[0\]\[3\] is 99, above its ci_high"),
    ("ci_low", REMOVED, "field ci_low is missing"),
    ("ci_high", None, "one of ci_low and ci_high is null, expected both or none"),
    ("split_half", REMOVED, "field split_half is missing"),
    ("split_half", "high", "split_half is 'high', expected a finite number"),
    ("split_half", 1.5, "split_half is 1.5, expected null or a correlation"),
    ("split_half_shared", None, "split_half_shared is None, expected 8 numbers"),
    ("split_half_shared", [1.0] * 7, "split_half_shared is a list of 7, expected 8 numbers"),
    ("split_half_shared.3", "all", r"split_half_shared\[3\] is 'all', expected a finite number"),
    ("split_half_shared.3", float("nan"), r"split_half_shared\[3\] is nan, expected a finite number"),
    ("split_half_shared.3", 1.5, r"split_half_shared\[3\] is 1.5, expected a share"),
    ("provenance", 3, "provenance is 3, expected a JSON object"),
    ("tasks", [], "tasks is a list of 0, expected a JSON object"),
    ("tasks.task_0", 1, "tasks.task_0 is 1, expected a JSON object"),
    ("tasks.task_0.split", REMOVED, "field tasks.task_0.split is missing"),
    ("tasks.task_0.n", 0, "tasks.task_0.n is 0, expected a whole number of at least 1"),
    ("tasks.task_0.records_hash", 1, "tasks.task_0.records_hash is 1, expected a text"),
    ("tasks.task_0.mean", [[1]], "tasks.task_0.mean is a list of 1, expected 2 lists"),
    ("tasks.task_0.skipped", 4, "tasks.task_0.skipped is 4, expected a JSON object"),
    ("tasks.task_0.skipped", {"why": -1}, "tasks.task_0.skipped.why is -1, expected a whole number"),
]


@pytest.mark.parametrize(("place", "value", "message"), BROKEN, ids=[f"{place}={value}" for place, value, _ in BROKEN])
def test_a_broken_file_is_named_with_its_field(tmp_path: Path, place: str, value: Any, message: str) -> None:
    good = make_profile(np.arange(8).reshape(2, 4), kv_heads=2, split_half_shared=[0.5] * 8)
    data = copy.deepcopy(good.to_dict())
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner: Any = data
    for part in path:
        inner = inner[part]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    file = tmp_path / "heads.json"
    file.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message) as caught:
        HeadProfile.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "the file is a list of 1"), ("{", "is not JSON"), ("", "is not JSON"), ("null", "the file is None")],
)
def test_a_file_that_is_no_profile(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "heads.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        HeadProfile.load(file)
    assert str(file) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"heads\.json: no such file"):
        HeadProfile.load(tmp_path / "heads.json")


def test_a_profile_is_checked_when_it_is_made_too() -> None:
    with pytest.raises(UserError, match=r"head profile: ci_low is a list of 1"):
        make_profile(np.ones((2, 3)), ci_low=np.ones((1, 3)))
    with pytest.raises(UserError, match=r"mean\[0\]\[0\] is nan"):
        make_profile([[float("nan"), 1.0]])


def test_unknown_fields_of_a_file_are_left_alone(tmp_path: Path) -> None:
    data = {**random_profile().to_dict(), "note": "mine"}
    (tmp_path / "heads.json").write_text(json.dumps(data))
    assert HeadProfile.load(tmp_path / "heads.json").count == 96
