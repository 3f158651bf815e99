"""What of a video is shown, what the model is told of its time, and what is located are one thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_cases import small_adapter, text_part, user, video_part
from family_cases import FAMILIES
from family_cases import adapter as family_adapter
from movies import Movie, cut, listed, numbers, played, steady

from coreheads.media.video import open_clip, sample
from coreheads.regions import Region

VARIABLE = listed([1] * 39 + [10] * 8, 13)
"""Ten frames a second for four seconds, then one a second: as screen recordings and phones make them."""


def movie(folder: Path, name: str) -> Path:
    if name == "cut":
        whole = Movie(steady(100), group=50, between=2).write(folder)
        return cut(whole, folder / "cut.mp4", 33)
    return Movie(VARIABLE, between=2, ending="mkv" if name == "variable mkv" else "mp4").write(folder, "variable")


def everything(total: int, fps: float) -> Sequence[int]:
    return range(total)


@pytest.mark.parametrize("name", ["variable", "variable mkv", "cut"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_shown_told_and_located_are_one(tmp_path: Path, name: str, model_type: str) -> None:
    path = movie(tmp_path, name)
    times, truth = zip(*played(path), strict=True)
    adapter = family_adapter(model_type)
    for start, end in [(None, None), (2.0, None), (3.5, 6.4)]:
        span = {name: second for name, second in (("start", start), ("end", end)) if second is not None}
        prompt = adapter.prepare(user(video_part(path, **span), text_part("when ?")))
        medium = prompt.media[0]
        shown = [frame for patch in medium.frames for frame in patch]
        seconds = [second for patch in range(len(medium.frames)) for second in medium.times(patch)]
        assert np.abs(np.subtract(seconds, [times[frame] for frame in shown])).max() < 1e-3
        assert seconds == sorted(seconds)
        assert (start or 0) <= seconds[0] + 1e-3
        assert seconds[-1] < (end or 99)
        assert numbers(open_clip(path).read(sorted(set(shown)))) == [truth[frame] for frame in sorted(set(shown))]
        seeing = torch.zeros(len(prompt.vision_tokens), dtype=torch.bool)
        seeing[prompt.geometry.token] = True  # not LLaVA-OneVision's token after the last frame
        for first in seconds:
            patches = [p for p in range(len(medium.frames)) if first in medium.times(p)]
            wanted = seeing & torch.isin(prompt.geometry.patch, torch.tensor(patches))
            found = prompt.locate([Region(0, None, first, first + 1e-5)])
            assert found.tolist() == prompt.vision_tokens[wanted].tolist()


@pytest.mark.parametrize("name", ["variable", "variable mkv", "cut"])
def test_the_model_is_told_the_times_of_the_frames(tmp_path: Path, name: str) -> None:
    path = movie(tmp_path, name)
    times = [time for time, _ in played(path)]
    adapter = small_adapter()
    prompt = adapter.prepare(user(video_part(path), text_part("when ?")))
    text = adapter.processor.tokenizer.decode(prompt.inputs["input_ids"][0]).replace(" ", "")
    told = [float(said) for said in re.findall(r"<([\d.]+)seconds>", text)]
    true = [np.mean([times[frame] for frame in pair]) for pair in prompt.media[0].frames]
    assert np.abs(np.subtract(told, true)).max() <= 0.0501
    assert told[-1] > 0.8 * times[-1]


def test_a_part_of_a_video_of_variable_rate(tmp_path: Path) -> None:
    path = movie(tmp_path, "variable")
    for start, end in ((6.0, 9.0), (0.0, 2.0), (1.0, 3.0), (3.9, 5.0), (6.4, None)):
        found = sample(path, everything, start, end)
        true = [(time - 13) / 10 for time in VARIABLE]
        wanted = [time for time in true if start <= time < (end or 99)]
        assert np.allclose(found.seconds, wanted)
        assert numbers(found.frames) == [true.index(time) for time in wanted] == list(found.indices)


def test_frames_of_a_variable_rate_are_picked_evenly_in_time(tmp_path: Path) -> None:
    """Four frames a second on average: the rule asks for every second frame, which is a frame each half a second."""
    times = listed([1, 1, 1, 1, 16] * 8)
    path = Movie(times, Fraction(1, 10)).write(tmp_path)
    found = sample(path, lambda total, fps: range(0, total, 2))
    asked = np.arange(0, len(times), 2) * (times[-1] / 10 / (len(times) - 1))
    assert list(found.indices) == sorted(found.indices)
    nearest = [min(abs(time / 10 - second) for time in times) for second in asked]
    assert np.allclose(np.abs(found.seconds - asked), nearest)
    assert sample(path, everything).indices == tuple(range(len(times)))


@pytest.mark.parametrize(("tick", "ending"), [(Fraction(1, 10), "mp4"), (Fraction(1001, 30000), "mkv")])
def test_a_constant_rate_is_i_over_fps(tmp_path: Path, tick: Fraction, ending: str) -> None:
    """Exactly, whatever the container rounds its time stamps to."""
    found = sample(Movie(steady(50), tick, between=2, ending=ending).write(tmp_path), everything)
    assert found.fps == found.rate == float(1 / tick)
    assert found.ticks == found.indices == tuple(range(50))
    assert found.seconds == tuple(index / found.fps for index in range(50))
