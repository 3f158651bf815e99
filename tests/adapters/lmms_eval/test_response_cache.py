"""lmms-eval's --use_cache gives an answer again only for the same model, heads and documents, whatever their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_run
import torch
from lmms_eval.api.instance import Instance
from lmms_eval.caching.response_cache import ResponseCache
from PIL import Image
from safetensors.torch import load_file, save_file

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.lmms_eval.model import CoreHeads
from coreheads.heads.profile import HeadProfile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    small_run.save_model(tmp_path / "model")
    heads(tmp_path / "model", first=0)
    return tmp_path


def heads(checkpoint: Path, first: int) -> Path:
    """A heads file that has another head first."""
    adapter = load_adapter(str(checkpoint))
    mean = [[0.1] * adapter.heads for _ in range(adapter.layers)]
    mean[0][first] = 1.0
    profile = HeadProfile(model=adapter.describe(), mean=mean, ci_low=mean, ci_high=mean)  # type: ignore[arg-type]
    return profile.save(checkpoint.parent / "heads.json")


class Asked:
    """Asks a model through the cache, and counts what it had to compute."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.colour, self.question = folder, "red", "what digit is by the red-star?"
        self.arguments = {"patch": "ablate", "fraction": 0.01}
        self.computed = 0

    def messages(self, doc: int) -> list[dict[str, Any]]:
        image = Image.new("RGB", (64, 64), self.colour)
        return [{"role": "user", "content": [{"type": "image", "url": image}, {"type": "text", "text": self.question}]}]

    def __call__(self) -> list[str]:
        model = CoreHeads(
            pretrained=str(self.folder / "model"), heads=str(self.folder / "heads.json"), **self.arguments
        )
        model.task_dict["t"] = {"test": [0, 1]}
        requests = [
            Instance(
                "generate_until",
                ("", self.messages, {"max_new_tokens": 3, "until": []}, number, "t", "test"),
                0,
                {"task": "t", "doc_id": number, "repeats": 1},
            )
            for number in range(2)
        ]
        answer = model.generate_until

        def counted(asked: list[Any]) -> list[Any]:
            self.computed += len(asked)
            return answer(asked)

        model.generate_until = counted
        cache = ResponseCache.create(str(self.folder / "cache"), model="coreheads", model_args="the same for all")
        answers = cache.execute(model, "generate_until", requests)
        cache.finalize(success=True)
        assert [request.args[0] for request in requests] == ["", ""]
        return [text if isinstance(text, str) else text.text for text in answers]


def weights(asked: Asked) -> None:
    path = asked.folder / "model" / "model.safetensors"
    save_file({name: value * 1.5 for name, value in load_file(path).items()}, path, {"format": "pt"})


def other_heads(asked: Asked) -> None:
    heads(asked.folder / "model", first=3)


def template(asked: Asked) -> None:
    path = asked.folder / "model" / "chat_template.jinja"
    path.write_text(path.read_text() + " ")


def processor(asked: Asked) -> None:
    path = asked.folder / "model" / "processor_config.json"
    config = json.loads(path.read_text())
    config["image_processor"]["image_mean"] = [0.1, 0.1, 0.1]
    path.write_text(json.dumps(config))


def picture(asked: Asked) -> None:
    asked.colour = "blue"


def question(asked: Asked) -> None:
    asked.question = "what digit is by the blue-ring?"


def patch(asked: Asked) -> None:
    asked.arguments = {**asked.arguments, "mode": "mean"}


def setting(asked: Asked) -> None:
    asked.arguments = {**asked.arguments, "max_pixels": 32 * 32}


def dtype(asked: Asked) -> None:
    asked.arguments = {**asked.arguments, "dtype": "bfloat16"}


@pytest.mark.filterwarnings("ignore:.*these heads were found on")
@pytest.mark.parametrize(
    "change", [weights, other_heads, template, processor, picture, question, patch, setting, dtype]
)
def test_what_was_changed_under_its_name_is_asked_anew(change: Callable[[Asked], None], folder: Path) -> None:
    asked = Asked(folder)
    first = asked()
    assert asked.computed == 2
    assert asked() == first
    known = asked.computed
    change(asked)
    asked()
    assert asked.computed == known + 2


def test_prompts_are_kept_for_one_set_of_documents(folder: Path) -> None:
    model = CoreHeads(pretrained=str(folder / "model"))
    seen = []

    def messages(doc: str) -> list[dict[str, Any]]:
        seen.append(doc)
        return [{"role": "user", "content": [{"type": "text", "text": doc}]}]

    requests = [
        Instance("generate_until", ("", messages, {}, 0, "t", "test"), 0, {"task": "t", "doc_id": 0, "repeats": 1})
    ]
    docs = ["what digit is by the red-star?"]
    for given in (docs, docs, ["what digit is by the blue-ring?"], docs):
        model.task_dict["t"] = {"test": given}
        model.generate_until(requests)
    assert seen == ["what digit is by the red-star?", "what digit is by the blue-ring?", docs[0]]
