"""Example pictures: what is drawn is RAM's own attention, on the right pixels; the command and the run make them."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_run
import torch
from PIL import Image

from coreheads import load_adapter, retrieval_attention_mass
from coreheads.cli import main
from coreheads.files import read_json
from coreheads.heads.profile import HeadProfile
from coreheads.media.video import Video
from coreheads.regions import Region
from coreheads.report import attention, example_files
from coreheads.report.example_files import Example, image_path, store, stored
from coreheads.retrieval.attention_map import chosen_heads, look
from coreheads.retrieval.overlay import WIDTH, heat, on_view, picture, shown, views
from coreheads.run import examples
from coreheads.tasks import registry

pytestmark = pytest.mark.slow  # whole runs, boards and pages

HEADS = {"layers": 2, "heads": 8, "kv_heads": 4, "model_type": "qwen3_vl", "revision": None}


@pytest.fixture(scope="module")
def adapter(small_model: Path) -> Any:
    return load_adapter(str(small_model))


@pytest.fixture(scope="module")
def profile(small_model: Path) -> HeadProfile:
    mean = np.random.default_rng(0).uniform(0, 1, (2, 8))
    return HeadProfile(model={"id": str(small_model), **HEADS}, mean=mean, ci_low=mean, ci_high=mean)  # type: ignore[typeddict-item]


def ask(adapter: Any, *parts: dict[str, Any]) -> Any:
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": "where is the red-star?"}]}]
    return adapter.prepare(messages, query="red-star")


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", [small_run.REC, small_run.PAGE])
def test_the_drawn_attention_on_the_target_is_ram(
    adapter: Any, profile: HeadProfile, small_data: Path, name: str
) -> None:
    task = registry.get(name)
    for doc in task.records("test", 3, small_data):
        attention_map, _ = examples.attention_map_of(adapter, task, doc, profile)
        wanted = retrieval_attention_mass(adapter, attention_map.prompt, task.regions(doc))
        assert attention_map.heads == tuple(chosen_heads(profile))
        assert attention_map.ranks == (1, 2, 3, 15)
        for head, ram, row in zip(attention_map.heads, attention_map.ram, attention_map.attention, strict=True):
            assert ram == pytest.approx(float(wanted[head]), abs=1e-5)
            every = views(attention_map.prompt, attention_map.regions)
            assert sum(on_view(attention_map.prompt, view, row) for view in every) == pytest.approx(
                float(row.sum()), abs=1e-5
            )
        text = attention.describe(attention_map, task.query(doc))
        assert f"rank 15 of 16) pays {attention_map.ram[3]:.2f}" in text


def test_heat_lies_on_the_pixels_of_its_token(adapter: Any) -> None:
    prompt = ask(adapter, {"type": "image", "image": noise(320, 160)})
    box = (0.5, 0.25, 0.75, 0.5)
    target = torch.isin(prompt.vision_tokens, prompt.locate([Region(0, box)]))
    (view,) = views(prompt, [Region(0, box)])
    assert view.boxes == (box,)
    drawn = heat(prompt, view, target.float()[None], (160, 320))[0]
    assert drawn[40:80, 160:240].min() == 1  # the whole region
    near = drawn.copy()
    near[8:112, 128:272] = 0  # at most the tokens at its edges
    assert near.max() == 0
    assert heat(prompt, view, torch.ones(2, len(target)), (160, 320)).min() == 1


def test_a_video_shows_its_frames_and_when(adapter: Any) -> None:
    frames = np.stack([np.full((64, 64, 3), 10 * index, dtype=np.uint8) for index in range(8)])
    prompt = ask(adapter, {"type": "video", "video": Video(frames, 2.0)})
    region = Region(0, (0.0, 0.0, 0.5, 0.5), 1.0, 2.0)
    every = views(prompt, [region])
    assert len(every) == len(prompt.media[0].frames)
    for view in every:
        first = prompt.media[0].frames[view.patch][0]
        assert view.label == f"video, {first / 2:.1f} s"
        held = prompt.media[0].frames[view.patch]
        assert bool(view.boxes) == any(1.0 <= frame / 2 < 2.0 for frame in held)
        assert picture(prompt, view).mean() == pytest.approx(10 * first)
        assert picture(prompt, view).shape == (WIDTH, WIDTH, 3)


def test_gold_pictures_are_shown_first() -> None:
    from coreheads.retrieval.overlay import View

    every = [
        View(number, 0, str(number), ((0, 0, 1, 1),) if number in (6, 7, 8, 9, 10) else ()) for number in range(12)
    ]
    assert [view.medium for view in shown(every)] == [0, 6, 8, 10]
    assert shown(every[:3]) == every[:3]
    assert [view.medium for view in shown(every[6:11], 3)] == [6, 8, 10]
    assert [view.medium for view in shown([*every[:6], every[7]], 3)] == [0, 5, 7]


def test_pages_are_told_apart(adapter: Any, profile: HeadProfile) -> None:
    pages = [{"type": "image", "image": noise(96, 128, seed)} for seed in range(6)]
    prompt = ask(adapter, *pages)
    attention_map = look(adapter, prompt, [Region(4)], profile)
    labels = [view.label for view in shown(views(prompt, attention_map.regions))]
    assert labels == ["image 1 of 6", "image 3 of 6", "image 5 of 6", "image 6 of 6"]
    image = Image.open(io.BytesIO(attention.png(attention_map, "a $x$ <b> 星", "long title " * 30)))
    assert image.size[0] > 1000
    for size in (150_000, 60_000):
        data = attention.jpeg(attention_map, "red-star", "a title", size)
        assert len(data) <= size
        assert Image.open(io.BytesIO(data)).format == "JPEG"
    with pytest.raises(ValueError, match="expected at most 100"):
        attention.jpeg(attention_map, "red-star", "a title", 100)


def sample(profile: HeadProfile, folder: Path, *arguments: object) -> int:
    path = profile.save(folder / "heads.json")
    return main(["heads", "show", str(path), *map(str, arguments)])


def test_the_command_draws_a_record_by_id_or_number(
    profile: HeadProfile, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = registry.get(small_run.REC)
    docs = task.records("test", None, small_data)
    made = []
    for key in ("1", task.record_id(docs[1])):
        out = tmp_path / f"{len(made)}.png"
        assert sample(profile, tmp_path, "--sample", f"{task.name}:{key}", "--data-root", small_data, "--out", out) == 0
        assert f"record {task.record_id(docs[1])} (split test)" in capsys.readouterr().out
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert min(Image.open(tmp_path / "0.png").size) > 300


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sample", small_run.REC], "--sample: needs --out"),
        (["--sample", "nothing:1", "--out", "x.png"], "nothing"),
        (["--sample", f"{small_run.REC}:nobody", "--out", "x.png"], "has no record 'nobody' in split test"),
        (["--sample", f"{small_run.REC}:99", "--out", "x.png"], "a number from 0 to 7"),
        (["--sample", "coreheads_mlvu_dev", "--out", "x.png"], "ground-truth regions"),
        (["--sample", small_run.REC, "--out", "x.jpg"], "expected a file that ends in .png"),
        (["--sample", small_run.REC, "--split", "none", "--out", "x.png"], "split: 'none'"),
        (["--sample", small_run.REC, "--option", "other.x=1", "--out", "x.png"], "--option other"),
        (["--sample", small_run.REC, "--model", "/nowhere", "--out", "x.png"], "/nowhere"),
    ],
)
def test_wrong_samples_are_one_line(
    profile: HeadProfile,
    small_data: Path,
    tmp_path: Path,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sample(profile, tmp_path, *arguments, "--data-root", small_data) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert expected in message
    assert len(message.splitlines()) == 1


def test_heads_of_another_model_are_refused(
    small_model: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--sample", small_run.REC, "--model", str(small_model), "--data-root", str(small_data)]
    assert sample(small_run.profile(), tmp_path, *arguments, "--out", tmp_path / "x.png") == 2
    assert "another model" in capsys.readouterr().err


def test_a_run_has_an_example_of_each_profiled_task(finished_run: Path) -> None:
    ((example, path),) = stored(finished_run)
    assert (example.model, example.task) == ("small", small_run.REC)
    assert "rank 1 of 16" in example.caption
    docs = registry.get(small_run.REC).records("test", None, data_root(finished_run))
    assert example.record_id in [doc["record_id"] for doc in docs]
    assert path.stat().st_size <= example_files.BYTES
    page = (finished_run / "leaderboard.html").read_text()
    assert "What a head looks at" in page
    assert page.count("data:image/jpeg;base64,") == 1


def data_root(run: Path) -> str:
    root: str = read_json(run / "manifest.json")["config"]["data_root"]
    return root


def test_pictures_are_not_drawn_again_and_cost_no_run(
    adapter: Any, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coreheads.config.schema import RunConfig

    shutil.copytree(finished_run, tmp_path / "run")
    run = tmp_path / "run"
    config = RunConfig.model_validate(read_json(run / "manifest.json")["config"])
    known = HeadProfile.load(run / "heads" / "small.json")
    said: list[str] = []

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no memory\nat all")

    monkeypatch.setattr(attention, "jpeg", broken)
    examples.draw_for_run(run, "small", adapter, known, config, said.append)
    assert said == []  # it is there
    image_path(run, "small", small_run.REC).with_suffix(".json").unlink()
    examples.draw_for_run(run, "small", adapter, known, config, said.append)
    assert said == [f"small: no example picture of {small_run.REC} (no memory)"]
    assert stored(run) == []


def test_stored_examples_keep_their_order(tmp_path: Path) -> None:
    for place, task in enumerate(("z", "a", "m")):
        store(tmp_path, Example("a/model", task, "1", "caption", place), b"jpeg")
    assert [example.task for example, _ in stored(tmp_path)] == ["z", "a", "m"]
    image_path(tmp_path, "a/model", "z").unlink()
    assert [example.task for example, _ in stored(tmp_path)] == ["a", "m"]
