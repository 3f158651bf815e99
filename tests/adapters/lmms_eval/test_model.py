"""The lmms-eval model: found by its entry point, batches, stored answers, patches, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_run
import torch

from coreheads import limits
from coreheads.adapters.generation.generate import Generation
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.lmms_eval.model import CoreHeads
from coreheads.adapters.lmms_eval.sample_sink import Refusal
from coreheads.errors import BadSample, UserError
from coreheads.tasks.lmms import Docs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return small_run.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    from coreheads.adapters.checkpoints.adapter import load_adapter
    from coreheads.heads.profile import HeadProfile

    adapter = load_adapter(str(folder))
    mean = [[1.0 / (1 + layer * adapter.heads + head) for head in range(adapter.heads)] for layer in range(2)]
    described = adapter.describe()
    profile = HeadProfile(model=described, mean=mean, ci_low=mean, ci_high=mean)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("heads") / "heads.json"
    profile.save(path)
    return path


class Request:
    """As lmms-eval's Instance: (context, doc_to_messages, generation_kwargs, document index, task, split)."""

    def __init__(self, index: int, task: str = "t", **settings: Any) -> None:
        self.args = ("", messages, {"max_new_tokens": 3, "until": [], **settings}, index, task, "test")


def messages(doc: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": doc["question"]}]}]


@pytest.fixture
def model(folder: Path) -> CoreHeads:
    made = CoreHeads(pretrained=str(folder), batch_size=2)
    docs = [{"question": f"what digit is by the {name}?"} for name in ("red-star", "blue-ring", "cyan-bar", "red-bar")]
    made.task_dict["t"] = {"test": docs}
    return made


def texts(answers: list[Any]) -> list[str]:
    return [answer if isinstance(answer, str) else answer.text for answer in answers]


def test_lmms_eval_finds_the_model_by_its_entry_point() -> None:
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    registry = ModelRegistryV2()
    registry.load_entrypoint_manifests()
    assert registry.resolve("coreheads").model_type == "chat"
    assert registry.get_model_class("coreheads") is CoreHeads


def test_arguments_as_on_the_command_line(folder: Path, heads: Path) -> None:
    arguments = f"pretrained={folder},patch=hybrid,heads={heads},fraction=0.25,sink=2,window=8"
    model = CoreHeads.create_from_arg_string(arguments, {"batch_size": "4", "device": "cpu", "max_batch_size": None})
    assert model.batch_size == 4
    assert model.patch.describe()["window"] == 8
    assert sorted(model.patch.heads) == [(0, 0), (0, 1), (0, 2), (0, 3)]


class Sink:
    """Keeps in ``order`` what it is told, a batch at a time."""

    def __init__(self, order: list[Any], stored: Mapping[int, str] | None = None) -> None:
        self.order, self.stored = order, stored or {}

    def known(self, index: int) -> str | None:
        return self.stored.get(index)

    def put(self, answers: Mapping[int, Generation | Refusal]) -> None:
        self.order.append(dict(answers))

    @property
    def indices(self) -> list[int]:
        return [index for batch in self.order for index in batch]


def test_answers_do_not_depend_on_batches_or_what_is_stored(model: CoreHeads) -> None:
    requests = [Request(index) for index in range(4)]
    sink = Sink([])
    with model.cell(model.patch, sink):
        once = texts(model.generate_until(requests))
    assert sink.indices == [0, 1, 2, 3]
    assert [answer.text for batch in sink.order for answer in batch.values()] == once
    model.batch_size = 3
    assert texts(model.generate_until(requests)) == once
    assert len(sink.indices) == 4, "told of answers after its cell"
    sink = Sink([], {1: "stored"})
    with model.cell(model.patch, sink):
        assert texts(model.generate_until(requests)) == [once[0], "stored", once[2], once[3]]
    assert sink.indices == [0, 2, 3]


def test_a_cell_has_its_own_patch(model: CoreHeads) -> None:
    from coreheads.adapters.patches.registry import make_patch

    before = model.patch
    requests = [Request(index) for index in range(4)]
    plain = [request.text for request in model.generate_until(requests)]
    ablated = Sink([])
    heads = frozenset((layer, head) for layer in range(2) for head in range(model.adapter.heads))

    def answer_and_fail() -> None:
        with model.cell(make_patch("ablate", heads, mode="zero"), ablated):
            assert [request.text for request in model.generate_until(requests)] != plain
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        answer_and_fail()
    assert model.patch is before
    assert [request.text for request in model.generate_until(requests)] == plain


def test_a_batch_ends_where_its_prompts_are_much_to_hold(model: CoreHeads, monkeypatch: Any) -> None:
    requests = [Request(index) for index in range(4)]
    once, sink = texts(model.generate_until(requests)), Sink([])
    monkeypatch.setattr(limits, "BATCH_BYTES", 0)
    with model.cell(model.patch, sink):
        assert texts(model.generate_until(requests)) == once
    assert [list(batch) for batch in sink.order] == [[0], [1], [2], [3]]


def test_a_batch_is_put_before_the_next_one_begins(model: CoreHeads, monkeypatch: Any) -> None:
    order: list[Any] = []
    generate = type(model.adapter).generate

    def noted(self: Any, prompts: Any, **settings: Any) -> Any:
        order.append(f"batch of {len(prompts)}")
        return generate(self, prompts, **settings)

    monkeypatch.setattr(type(model.adapter), "generate", noted)
    with model.cell(model.patch, Sink(order)):
        model.generate_until([Request(index) for index in range(3)])
    assert [list(each) if isinstance(each, dict) else each for each in order] == [
        "batch of 2",
        [0, 1],
        "batch of 1",
        [2],
    ]


def test_prompts_are_prepared_once_for_all_patches(model: CoreHeads, monkeypatch: Any) -> None:
    prepared: list[Any] = []
    prepare = type(model.adapter).prepare

    def noted(self: Any, *arguments: Any, **settings: Any) -> Any:
        prepared.append(arguments)
        return prepare(self, *arguments, **settings)

    monkeypatch.setattr(type(model.adapter), "prepare", noted)
    for _ in range(3):
        model.generate_until([Request(0), Request(1)])
    assert len(prepared) == 2
    model.forget()
    model.generate_until([Request(0)])
    assert len(prepared) == 3
    model.prompts.max_bytes = 0
    model.forget()
    model.generate_until([Request(0), Request(0)])
    assert len(prepared) == 5


def test_a_prompt_beyond_the_context_has_no_answer(model: CoreHeads, monkeypatch: pytest.MonkeyPatch) -> None:
    docs, requests = model.task_dict["t"]["test"], [Request(0), Request(1)]
    short, long = docs[0], {"question": docs[1]["question"] * 3}
    model.task_dict["t"]["test"] = [short, long]
    limit = model.adapter.prepare(messages(short)).tokens
    over = model.adapter.prepare(messages(long)).tokens
    plain = texts(model.generate_until(requests))
    monkeypatch.setattr(model.adapter.model.config.text_config, "max_position_embeddings", limit)
    why = f"its prompt has {over} tokens, more than the {limit} that the model takes"
    sink = Sink([])
    with model.cell(model.patch, sink):
        assert texts(model.generate_until(requests)) == [plain[0], ""]
    (batch,) = sink.order
    assert batch[0].text == plain[0]
    assert batch[1] == Refusal(why, "model")
    with pytest.raises(UserError, match=f"more than the {limit}"):
        model.generate_until([Request(1)])


def test_without_a_sink_our_tasks_are_told_what_has_no_answer(
    model: CoreHeads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the plain lmms-eval command: a document that cannot be shown, one whose media cannot be used, and one whose
    logits are non-finite."""
    told: list[tuple[str, str]] = []

    class Task:
        def serve(self, model_type: str) -> None:
            assert model_type == model.adapter.model_type

        def leave_out(self, doc: dict[str, Any], reason: str) -> str:
            told.append((doc["question"], reason))
            return reason

    def shown(doc: dict[str, Any]) -> list[dict[str, Any]]:
        if doc["question"] == "gone":
            raise BadSample("gone.mp4: not there")
        if doc["question"] == "broken":
            return [{"role": "user", "content": [{"type": "image", "image": "nowhere.png"}]}]
        return messages(doc)

    fine = model.task_dict["t"]["test"][0]
    docs = [fine, {"question": "gone"}, {"question": "broken"}, {"question": "odd"}]
    model.task_dict["t"]["test"] = Docs(docs, Task())  # type: ignore[arg-type]
    requests = [Request(index) for index in range(4)]
    for request in requests:
        request.args = (request.args[0], shown, *request.args[2:])
    generate = type(model.adapter).generate

    calls: list[int] = []

    def second_is_odd(self: Any, prompts: Any, **settings: Any) -> list[Any]:
        made: list[Any] = generate(self, prompts, **settings)
        calls.append(1)
        return [replace(each, broken_at=2) for each in made] if len(calls) == 2 else made

    monkeypatch.setattr(type(model.adapter), "generate", second_is_odd)
    answers = texts(model.generate_until(requests))
    assert answers[0] != ""
    assert answers[1:] == ["", "", ""]
    assert [question for question, _ in told] == ["gone", "broken", "odd"]
    assert told[0][1] == "gone.mp4: not there"
    assert "nowhere.png" in told[1][1]
    assert told[2][1] == "logits are not finite (token 2 of its answer)"


def test_model_survives_lmms_evals_cleaning(model: CoreHeads) -> None:
    before = texts(model.generate_until([Request(0)]))
    model.clean()
    assert texts(model.generate_until([Request(0)])) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"patch": "prune", "selection": "none"}, "prune"),
        ({"patch": "hybrid", "fraction": 0.1}, "needs heads"),
        ({"patch": "hybrid", "heads": "HEADS"}, "needs a fraction"),
        ({"patch": "hybrid", "heads": "HEADS", "fraction": 0}, "fraction is 0"),
        ({"patch": "hybrid", "heads": "HEADS", "fraction": 2}, "fraction is 2"),
        ({"patch": "hybrid", "heads": "nowhere.json", "fraction": 0.1}, "nowhere.json"),
        ({"patch": "hybrid", "selection": "none", "windows": 3}, "windows"),
        ({"patch": "hybrid", "selection": "best", "heads": "HEADS", "fraction": 0.1}, "best"),
        ({"patch": "ablate", "selection": "none"}, "empty"),
        ({"window": 3}, "patch is none but window"),
        ({"batch_size": "many"}, "batch_size is 'many'"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    model: CoreHeads, heads: Path, arguments: dict[str, Any], expected: str
) -> None:
    given = {name: str(heads) if value == "HEADS" else value for name, value in arguments.items()}
    with pytest.raises(UserError, match=expected) as caught:
        CoreHeads(adapter=model.adapter, **given)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_not_greedy_generation_is_refused(model: CoreHeads) -> None:
    with pytest.raises(UserError, match="greedy"):
        model.generate_until([Request(0, do_sample=True, temperature=0.7)])
    model.generate_until([Request(0, do_sample=False, temperature=0, num_beams=1)])
    with pytest.raises(UserError, match="log-likelihood"):
        model.loglikelihood([])
    with pytest.raises(UserError, match="multi-round"):
        model.generate_until_multi_round([])


def test_remembered_vision_changes_no_answer(model: CoreHeads) -> None:
    from PIL import Image

    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    content = [{"type": "image", "image": picture}, {"type": "text", "text": "where is the red-star?"}]
    adapter = model.adapter
    prompt = adapter.prepare([{"role": "user", "content": content}])
    vision_cache, calls = VisionCache(), []
    hook = adapter.vision_modules[0].patch_embed.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        plain = adapter.model(**prompt.inputs).logits
        with vision_cache.active(adapter.vision_modules):
            first = adapter.model(**prompt.inputs).logits
            second = adapter.model(**prompt.inputs).logits
    hook.remove()
    assert torch.equal(plain, first)
    assert torch.equal(plain, second)
    assert len(calls) == 2
    assert vision_cache.bytes > 0
    with vision_cache.active(adapter.vision_modules), torch.inference_mode():
        other = {**prompt.inputs, "pixel_values": prompt.inputs["pixel_values"].flip(0)}
        assert not torch.equal(adapter.model(**other).logits, plain)
    assert "forward" not in vars(adapter.vision_modules[0])


@pytest.mark.slow
def test_lmms_evals_own_command_line_runs_model_and_task(folder: Path, heads: Path) -> None:
    """The one way in that is not ours: entry point, tasks by path, model arguments."""
    from coreheads.tasks import registry

    program = Path(sys.executable).with_name("lmms-eval")
    arguments = f"pretrained={folder},patch=hybrid,heads={heads},fraction=0.1,window=32"
    command = [str(program), "--model", "coreheads", "--model_args", arguments, "--tasks", small_run.REC]
    done = subprocess.run(
        [*command, "--include_path", str(registry.path()), "--limit", "2", "--batch_size", "2"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"|{small_run.REC}|none" in done.stdout
    assert "acc_0.5" in done.stdout


def test_settings_of_the_family_go_to_the_adapter(folder: Path) -> None:
    made = CoreHeads(pretrained=str(folder), max_frames=6, max_pixels=4096)
    assert made.adapter.processor.video_processor.max_frames == 6
    assert made.adapter.processor.image_processor.size["longest_edge"] == 4096
    with pytest.raises(UserError, match="setting num_frames: qwen3_vl has none of that name"):
        CoreHeads(pretrained=str(folder), num_frames=6)
