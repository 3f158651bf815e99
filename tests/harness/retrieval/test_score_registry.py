"""Head scores by name: what a score needs of a record, and those of other packages."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.regions import Region
from coreheads.retrieval import head_scores
from coreheads.retrieval.head_scores import Score, head_score, score_names
from coreheads.retrieval.profiling import build_profile
from coreheads.retrieval.sample_scores import NO_ANSWER, score_task
from coreheads.tasks import registry

MODULE = "stand_in_of_another_package"


class Adapter:
    layers, heads, kv_heads = 2, 3, 3
    dtype, device, model_type = torch.float32, torch.device("cpu"), "stand_in"
    devices = (torch.device("cpu"),)
    model = types.SimpleNamespace(config=types.SimpleNamespace(_attn_implementation="sdpa"))

    def describe(self) -> dict[str, Any]:
        shape = {"layers": 2, "heads": 3, "kv_heads": 3}
        return {"id": "stand-in", "revision": None, "model_type": "stand_in", **shape}

    def state_hash(self) -> str:
        return "ab"

    def prepare(self, messages: list[dict[str, Any]], query: str | None = None) -> Any:
        return types.SimpleNamespace(number=messages[0]["content"], query_tokens=torch.arange(0), tokens=9)


class Task:
    """A record is its number, its answer or None; it has neither regions nor a query."""

    name, no_regions = "bare", ""

    def record_id(self, doc: tuple[int, str | None]) -> str:
        return str(doc[0])

    def query(self, doc: tuple[int, str | None]) -> str:
        return ""

    def regions(self, doc: tuple[int, str | None]) -> list[Region]:
        return []

    def messages(self, doc: tuple[int, str | None]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": str(doc[0])}]

    def answer(self, doc: tuple[int, str | None]) -> str | None:
        return doc[1]


def alone(adapter: Any, prompt: Any, regions: Any, *, answer: str | None = None) -> torch.Tensor:
    return torch.full((2, 3), float(prompt.number)) + len(answer or "") * 10


def of_set(adapter: Any, prompts: Any, answers: Any) -> torch.Tensor:
    return torch.full((2, 3), float(sum(int(prompt.number) for prompt in prompts) + len("".join(answers))))


@pytest.fixture(autouse=True)
def _scores(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(MODULE)
    answer: Any = frozenset({"answer"})
    made = [
        Score("plain", f"{MODULE}:alone"),
        Score("answered", f"{MODULE}:alone", answer),
        Score("together", f"{MODULE}:of_set", answer, of_set=True),
    ]
    vars(module).update(alone=alone, of_set=of_set, WRONG="none", **{score.name.upper(): score for score in made})
    monkeypatch.setitem(sys.modules, MODULE, module)
    values = {score.name: f"{MODULE}:{score.name.upper()}" for score in made}
    values |= {"renamed": f"{MODULE}:PLAIN", "wrong": f"{MODULE}:WRONG", "gone": "no_such_module:X", "ram": "x:Y"}
    points = [EntryPoint(name, value, head_scores.GROUP) for name, value in values.items()]
    monkeypatch.setattr(head_scores, "entry_points", lambda group: [point for point in points if point.group == group])


def scored(score: str, *docs: tuple[int, str | None], **settings: Any) -> Any:
    return score_task(Adapter(), Task(), docs, score=score, **settings)  # type: ignore[arg-type]


def test_scores_of_other_packages_are_entry_points() -> None:
    assert head_score("ram").function == "coreheads.retrieval.ram:ram"
    assert {"ram", "plain", "together"} <= set(score_names())
    assert head_score("plain") == Score("plain", f"{MODULE}:alone")
    for name, message in {
        "wrong": "is no score, expected a Score whose name is 'wrong'",
        "renamed": "is no score, expected a Score whose name is 'renamed'",
        "gone": "cannot be loaded .ModuleNotFoundError",
        "plan": r"score is 'plan', expected one of ram, .*did you mean 'plain'",
    }.items():
        with pytest.raises(UserError, match=message):
            head_score(name)


def test_every_score_of_ours_names_a_function_that_is_there() -> None:
    for name, score in head_scores.SCORES.items():
        assert score.name == name
        assert callable(score.load())
        assert score.code()


def test_a_score_that_needs_nothing_of_a_record_takes_every_record(tmp_path: Path) -> None:
    found = scored("plain", (1, None), (2, "a"))
    assert found.values[:, 0, 0].tolist() == [1, 2]
    registry.get("coreheads_mlvu_dev").check_profile("test", head_score("plain").needing_regions)
    with pytest.raises(UserError, match=r"no ground-truth regions .*RAM needs them"):
        registry.get("coreheads_mlvu_dev").check_profile("test", head_score("ram").needing_regions)
    with pytest.raises(UserError, match="normalization is 'lift', expected none: score plain has no normalization"):
        scored("plain", (1, None), normalization="lift")


def test_a_score_that_needs_answers_says_so_where_there_are_none() -> None:
    with pytest.raises(UserError) as error:
        scored("answered", (1, None), (2, None))
    assert str(error.value).startswith("task bare: none of its 2 records has a right answer, and score answered needs")
    assert "\n" not in str(error.value)
    found = scored("answered", (1, None), (2, "abc"))
    assert found.skipped == {NO_ANSWER: 1}
    assert found.values[:, 0, 0].tolist() == [32]


def test_kept_scores_are_those_of_one_score_answer_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "bare.jsonl"

    def lines(score: str, answer: str) -> int:
        scored(score, (1, answer), cache=cache)
        return len(cache.read_text().splitlines())

    assert [lines("plain", "a"), lines("plain", "a"), lines("plain", "b")] == [1, 1, 1]
    assert [lines("answered", "a"), lines("answered", "b"), lines("answered", "a")] == [2, 3, 3]
    monkeypatch.setattr(Score, "code", lambda self: "another")
    assert lines("answered", "a") == 4


def test_a_score_of_sets_gets_all_records_at_once(tmp_path: Path) -> None:
    found = scored("together", (1, "ab"), (2, None), (4, "c"), cache=tmp_path / "bare.jsonl")
    np.testing.assert_array_equal(found.values, np.full((1, 2, 3), 1 + 4 + 3))
    assert len(found.records) == 2
    profile = build_profile(Adapter(), [found], score="together")  # type: ignore[arg-type]
    assert (profile.score, profile.tasks["bare"]["n"], profile.split_half) == ("together", 2, None)
    # two samples, one matrix: no interval is claimed, and no cut
    assert (profile.ci_low, profile.ci_high, profile.split_half_shared, profile.clear_top()) == (None,) * 4
    assert profile.provenance["interval"] == "none: the score is one of all samples together"
    read = HeadProfile.load(profile.save(tmp_path / "heads.json"))
    assert read.to_dict() == profile.to_dict()
