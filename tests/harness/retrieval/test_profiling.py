"""A profile is the mean over tasks, resumes, and names what cannot be scored."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in_profiles import HEADS, LAYERS, Adapter, Prompt, Task, docs, name_score, registry_of, stand_in_score

from coreheads import environment
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.regions import Region
from coreheads.retrieval import head_scores as scores
from coreheads.retrieval import profiling
from coreheads.retrieval.fingerprint import record_hash
from coreheads.retrieval.profiling import build_profile, profile_heads
from coreheads.retrieval.sample_scores import NO_QUERY, NO_REGION, NOTHING_SEEN, score_task


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    name_score(monkeypatch)


def test_a_profile_is_the_mean_over_tasks_of_their_means(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_of(monkeypatch, Task("many", docs(12)), Task("few", [{"number": n} for n in (100, 101)]))
    profile = profile_heads(Adapter(), ["many", "few"], 10, score="stand_in", progress=False)
    values = [stand_in_score(None, Prompt(n, ""), [], normalization=None).numpy() for n in (*range(10), 100, 101)]
    expected = (np.mean(values[:10], axis=0, dtype=np.float64) + np.mean(values[10:], axis=0, dtype=np.float64)) / 2
    np.testing.assert_allclose(profile.mean, expected, rtol=1e-6)
    assert (profile.ci_low <= profile.mean).all()
    assert (profile.mean <= profile.ci_high).all()
    assert (profile.ci_high - profile.ci_low).max() < 0.01
    assert [(name, task["n"], task["split"]) for name, task in profile.tasks.items()] == [
        ("many", 10, "profile"),
        ("few", 2, "profile"),
    ]
    np.testing.assert_allclose(profile.tasks["few"]["mean"], np.mean(values[10:], axis=0), rtol=1e-6)
    assert profile.split_half is not None
    assert profile.split_half > 0.95
    # scores that are apart by ten times their noise: halves agree at every cut
    assert profile.split_half_shared == [1.0] * (LAYERS * HEADS)
    assert profile.clear_top() is not None
    made = profile.provenance
    assert (made["dtype"], made["attn_implementation"], made["command"], made["seed"]) == (
        "float32",
        "sdpa",
        environment.command_line(),
        0,
    )
    assert {"torch", "transformers", "coreheads"} <= set(made["versions"])
    assert HeadProfile.load(profile.save(tmp_path / "heads.json")).to_dict() == profile.to_dict()


def test_a_home_folder_is_not_in_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    described = Adapter().describe() | {"id": f"{Path.home()}/models/a"}
    monkeypatch.setattr(Adapter, "describe", lambda self: described)
    scored = [score_task(Adapter(), Task("a", docs(9)), docs(9), score="stand_in")]
    assert build_profile(Adapter(), scored).model["id"] == "~/models/a"


def test_the_same_seed_gives_the_same_profile() -> None:
    scored = [score_task(Adapter(), Task("a", docs(9)), docs(9), score="stand_in")]
    first, again = (build_profile(Adapter(), scored, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.ci_low, again.ci_low)
    assert first.split_half == again.split_half
    assert first.split_half_shared == again.split_half_shared
    assert (build_profile(Adapter(), scored, seed=4).ci_low != first.ci_low).any()


def test_unusable_records_are_skipped_and_counted() -> None:
    records = [*docs(3), {"number": 3, "at": []}, {"number": 4, "at": [1.0]}, {"number": 5, "query": " "}]
    records += [{"number": 6, "query": "lost"}, {"number": 7, "at": [1.0]}]
    seen: list[int] = []
    scored = score_task(Adapter(), Task("a", records), records, score="stand_in", advance=lambda: seen.append(1))
    assert scored.values.shape == (3, LAYERS, HEADS)
    assert scored.values.dtype == np.float32
    assert scored.skipped == {NO_REGION: 1, NOTHING_SEEN: 2, NO_QUERY: 2}
    assert scored.example == "record a-3: no ground-truth region"
    assert len(seen) == len(records)
    assert build_profile(Adapter(), [scored]).tasks["a"]["skipped"] == {NO_REGION: 1, NOTHING_SEEN: 2, NO_QUERY: 2}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (docs(3, at=[]), "task a: none of its 3 records has a ground-truth region, and score stand_in needs them"),
        (
            docs(2, at=[1.0]),
            r"task a: all 2 records .* skipped \(region touches no vision token: 2\); record a-0: media 0",
        ),
        ([], "task a: split profile has no records"),
        (docs(1, query="broken"), r"task a: all 1 records .*cannot be used: 1.*record a-0: query: .broken. does not"),
    ],
)
def test_a_task_of_which_nothing_is_left(records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_task(Adapter(), Task("a", records), records, score="stand_in")


def test_scores_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = types.ModuleType("broken_scores")
    broken.score = lambda *args, **kwargs: torch.full((LAYERS, HEADS), float("nan"))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_scores", broken)
    monkeypatch.setitem(scores.SCORES, "broken", scores.Score("broken", "broken_scores:score"))
    with pytest.raises(UserError, match="task a, record a-0: a head's score is not finite"):
        score_task(Adapter(), Task("a", docs(1)), docs(1), score="broken")


def test_an_interrupted_job_goes_on_where_it_stopped(tmp_path: Path) -> None:
    cache, task = tmp_path / "a.jsonl", Task("a", docs(6))
    whole = score_task(Adapter(), task, docs(6), score="stand_in")
    score_task(Adapter(), task, docs(4), score="stand_in", cache=cache)
    with cache.open("ab") as stream:  # killed while it wrote the fifth
        stream.write(b'{"schema_version": 1, "key": "\xe2')
    adapter = Adapter()
    again = score_task(adapter, task, docs(6), score="stand_in", cache=cache)
    assert adapter.prepared == 2
    np.testing.assert_array_equal(again.values, whole.values)
    assert again.records == whole.records
    assert len([json.loads(line) for line in cache.read_text().splitlines()]) == 6


def test_stored_scores_serve_only_the_same_question_and_settings(tmp_path: Path) -> None:
    cache, task = tmp_path / "a.jsonl", Task("a", docs(2))
    score_task(Adapter(), task, docs(2), score="stand_in", cache=cache)
    lifted = score_task(Adapter(), task, docs(2), score="stand_in", normalization="lift", cache=cache)
    plain = score_task(Adapter(), task, docs(2), score="stand_in", cache=cache)
    np.testing.assert_allclose(lifted.values, 2 * plain.values)
    adapter = Adapter()
    score_task(adapter, task, docs(2, at=[0.25]), score="stand_in", cache=cache)
    assert adapter.prepared == 2
    cache.write_text('{"key": "x"}\n')
    with pytest.raises(UserError, match=r"a.jsonl: a line has no key or scores"):
        score_task(Adapter(), task, docs(2), score="stand_in", cache=cache)


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry_of(monkeypatch, Task("a", docs(2)))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"task_names": []}, "tasks is empty"),
        ({"task_names": ["a", "a"]}, "tasks is a, a, expected one or more different names"),
        ({"samples": 0}, "samples is 0"),
        ({"normalization": "max"}, "normalization is 'max'"),
        ({"score": "gradient"}, "score is 'gradient', expected one of ram"),
    ]
    for changes, message in cases:
        arguments: dict[str, Any] = {"task_names": ["a"], "samples": 2, "progress": False, **changes}
        with pytest.raises(UserError, match=message):
            profiling.profile_heads(Adapter(), **arguments)


def test_record_hashes_survive_a_move_but_not_a_change(tmp_path: Path) -> None:
    def of(folder: str = "/data", text: str = "where?", x: float = 0.1, size: tuple[int, int] = (8, 8)) -> str:
        content = [
            {"type": "image", "image": Image.new("RGB", size)},
            {"type": "video", "video": f"{folder}/one.mp4", "start": 1.0},
            {"type": "image", "path": Path(folder) / "page.png"},
            {"type": "text", "text": text},
        ]
        return record_hash("7", [{"role": "user", "content": content}], "where", [Region(0, (x, 0, 1, 1))])

    assert of() == of(folder=str(tmp_path))
    assert len({of(), of(text="when?"), of(x=0.2), of(size=(8, 9))}) == 4


class Found:
    """A task with real pictures: a square of another colour is the target."""

    name, kind = "squares", "rec"

    def record_id(self, doc: int) -> str:
        return str(doc)

    def query(self, doc: int) -> str:
        return "red-star"

    def messages(self, doc: int) -> list[dict[str, Any]]:
        image = Image.new("RGB", (96, 64), "white")
        image.paste((200, 20, 20), (16 * doc, 16, 16 * doc + 16, 32))
        parts = [{"type": "image", "image": image}, {"type": "text", "text": "where is the red-star?"}]
        return [{"role": "user", "content": parts}]

    def regions(self, doc: int) -> list[Region]:
        return [Region(0, (doc / 6, 0.25, (doc + 1) / 6, 0.5))]


def test_a_real_adapter_and_a_real_score() -> None:
    from coreheads.adapters.families.qwen3_vl import Qwen3VL
    from coreheads.adapters.tiny.model import build_model
    from coreheads.adapters.tiny.processor import build_processor
    from coreheads.retrieval.ram import retrieval_attention_mass

    torch.set_num_threads(1)
    model = build_model(seed=0, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    adapter, task = Qwen3VL(model, build_processor(), id="random"), Found()
    scored = score_task(adapter, task, [0, 1, 5])  # type: ignore[list-item]
    prompt = adapter.prepare(task.messages(5), query="red-star")
    assert len(prompt.locate(task.regions(5))) == 1
    expected = retrieval_attention_mass(adapter, prompt, task.regions(5)).numpy()
    np.testing.assert_allclose(scored.values[2], expected, rtol=1e-5)
    profile = build_profile(adapter, [scored])
    profile.check_model(adapter.describe())
    assert profile.shape == (2, 4)
    assert profile.provenance["attn_implementation"] == "sdpa"
