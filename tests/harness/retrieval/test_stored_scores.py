"""Stored scores serve only what they were made of: the model's state, and what a record asks and shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from coreheads.adapters.checkpoints import embedded
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.families.base import Adapter
from coreheads.regions import Region
from coreheads.retrieval.fingerprint import content_hash, record_hash
from coreheads.retrieval.profiling import build_profile
from coreheads.retrieval.sample_scores import score_task


class Squares:
    """A task of real pictures, of one size and with one question: a square is the target."""

    name, kind = "squares", "rec"

    def __init__(self, folder: Path, colour: tuple[int, int, int] = (200, 20, 20), files: bool = False) -> None:
        self.folder, self.colour, self.files = folder, colour, files

    def record_id(self, doc: int) -> str:
        return str(doc)

    def query(self, doc: int) -> str:
        return "red-star"

    def messages(self, doc: int) -> list[dict[str, Any]]:
        image: Any = Image.new("RGB", (96, 64), "white")
        image.paste(self.colour, (16 * doc, 16, 16 * doc + 16, 32))
        if self.files:
            image.save(self.folder / f"{doc}.bmp")
            image = self.folder / f"{doc}.bmp"
        parts = [{"type": "image", "image": image}, {"type": "text", "text": "where is the red-star?"}]
        return [{"role": "user", "content": parts}]

    def regions(self, doc: int) -> list[Region]:
        return [Region(0, (doc / 6, 0.25, (doc + 1) / 6, 0.5))]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    return Path(shutil.copytree(embedded.folder("tiny"), tmp_path / "checkpoint"))


def weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: value * (0 if "q_proj" in name else 1) for name, value in tensors.items()}, path, {"format": "pt"})


def template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("assistant", "assistant red-star"))


def processor(folder: Path) -> None:
    path = folder / "processor_config.json"
    config = json.loads(path.read_text())
    config["image_processor"]["image_mean"] = [0.1, 0.1, 0.1]
    path.write_text(json.dumps(config))


def scored(adapter: Adapter, task: Squares, docs: list[int], cache: Path | None = None) -> Any:
    return score_task(adapter, task, docs, cache=cache).values  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [weights, template, processor])
def test_a_job_goes_on_with_what_lies_in_the_folder_now(
    change: Callable[[Path], None], checkpoint: Path, tmp_path: Path
) -> None:
    cache, task = tmp_path / "scores.jsonl", Squares(tmp_path)
    before = scored(load_adapter(checkpoint), task, [0, 1], cache)
    assert np.array_equal(scored(load_adapter(checkpoint), task, [0, 1], cache), before)
    assert len(cache.read_text().splitlines()) == 2
    change(checkpoint)
    adapter = load_adapter(checkpoint)
    mixed = scored(adapter, task, [0, 1, 2], cache)
    assert np.array_equal(mixed, scored(adapter, task, [0, 1, 2]))
    assert len(cache.read_text().splitlines()) == 5


@pytest.mark.parametrize("change", [{"max_frames": 3}, {"max_pixels": 64 * 64}])
def test_a_setting_of_the_adapter_counts(change: dict[str, int], checkpoint: Path, tmp_path: Path) -> None:
    cache, task = tmp_path / "scores.jsonl", Squares(tmp_path)
    scored(load_adapter(checkpoint), task, [1], cache)
    scored(load_adapter(checkpoint, **change), task, [1], cache)
    assert len(cache.read_text().splitlines()) == 2


@pytest.mark.parametrize("files", [False, True])
def test_other_pictures_of_the_same_size_are_scored_anew(files: bool, checkpoint: Path, tmp_path: Path) -> None:
    cache, adapter = tmp_path / "scores.jsonl", load_adapter(checkpoint)
    red, blue = Squares(tmp_path, files=files), Squares(tmp_path, (20, 20, 200), files)
    first = scored(adapter, red, [0, 1], cache)
    second = scored(adapter, blue, [0, 1], cache)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, scored(adapter, blue, [0, 1]))
    assert np.array_equal(first, scored(adapter, red, [0, 1], cache))
    assert len(cache.read_text().splitlines()) == 4


def test_a_profile_knows_what_it_was_made_of(checkpoint: Path, tmp_path: Path) -> None:
    adapter = load_adapter(checkpoint)
    profile = build_profile(adapter, [score_task(adapter, Squares(tmp_path), [0, 1])])  # type: ignore[arg-type, list-item]
    assert profile.model["fingerprint"] == load_adapter("tiny").fingerprint
    profile.check_model(load_adapter(checkpoint).describe())
    weights(checkpoint)
    template(checkpoint)
    with pytest.warns(
        UserWarning, match="these heads were found on .*checkpoint with another version of its weights and processor"
    ):
        profile.check_model(load_adapter(checkpoint).describe())


def test_a_question_that_begins_like_a_path_is_a_question() -> None:
    def asked(text: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "text", "text": text}]}]

    one, two = asked("/etc/hosts or /usr?"), asked("/var/hosts or /usr?")
    assert record_hash("1", one, "hosts", []) != record_hash("1", two, "hosts", [])
    assert content_hash(one) != content_hash(two)
