"""lmms-eval's own Qwen3-VL on our tasks, by the real command of the page, on the embedded checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from lmms_command import documented, shell, table

pytestmark = pytest.mark.slow

COMMAND = documented("lmms_eval.md", "--model qwen3_vl")
TWO_FLAGS = ",device=cpu,device_map=cpu"
FRAMES = ",fps=2,max_num_frames=128"


@pytest.fixture(autouse=True)
def needed() -> None:
    for package in ("decord", "qwen_vl_utils"):
        pytest.importorskip(package)


def test_the_command_of_the_page_answers_about_pictures_and_videos(tmp_path: Path) -> None:
    done = shell(COMMAND, "--limit 4 --output_path", tmp_path)
    assert done.returncode == 0
    found = table(done.stdout)
    assert {task for task, _ in found} == {"coreheads_mini_refcocog", "coreheads_mini_mlvu"}, done.stdout[-2000:]
    # the embedded model knows these tasks: with wrong boxes, frames or prompts it would know next to nothing
    assert float(found["coreheads_mini_refcocog", "acc_0.5"]) >= 0.75
    assert float(found["coreheads_mini_mlvu", "accuracy"]) >= 0.75
    for task in ("coreheads_mini_refcocog", "coreheads_mini_mlvu"):
        assert (found[task, "unscored"], found[task, "unparsed"]) == ("0.0000", "0.0000")
    assert len(list(tmp_path.rglob("*_results.json"))) == 1


def test_a_video_of_few_frames_ends_it_with_status_0_as_the_page_says(tmp_path: Path) -> None:
    assert FRAMES in COMMAND
    command = COMMAND.replace(FRAMES, "")
    done = shell(command, "--tasks coreheads_mini_vidstg --limit 1 --output_path", tmp_path)
    assert "nframes should in interval" in done.stdout + done.stderr
    assert "Error during evaluation" in done.stdout + done.stderr
    assert done.returncode == 0
    assert not table(done.stdout)
    assert not list(tmp_path.rglob("*_results.json"))


def test_one_of_the_two_flags_alone_fails_and_debug_says_so(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU for the inputs")
    assert TWO_FLAGS in COMMAND
    done = shell(COMMAND.replace(TWO_FLAGS, ",device=cpu"), "--limit 1 --verbosity DEBUG --output_path", tmp_path)
    assert done.returncode == 1
    assert not list(tmp_path.rglob("*_results.json"))
