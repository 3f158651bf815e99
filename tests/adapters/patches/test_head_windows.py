"""Head windows as they are exported: all that another program needs to attend as the hybrid patch does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patches_oracle import HEADS, KV_HEADS, LAYERS, logits, oracle, prompt, tiny_model
from profile_samples import make_profile

from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.cli import main
from coreheads.files import read_json
from coreheads.hashing.contents import json_hash
from coreheads.heads.profile import HeadProfile

SINK, WINDOW = 3, 9


@pytest.fixture
def profile(tmp_path: Path) -> HeadProfile:
    mean = np.random.default_rng(1).uniform(0, 1, (LAYERS, HEADS))
    return HeadProfile.load(make_profile(mean, kv_heads=KV_HEADS).save(tmp_path / "heads.json"))


def export(profile: HeadProfile, *more: str) -> dict[str, Any]:
    out = Path(profile.source).with_name("windows.json")
    options = ["--fraction", "0.25", "--sink", str(SINK), "--window", str(WINDOW), *more]
    assert main(["heads", "export", profile.source, "--out", str(out), *options]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


@pytest.mark.parametrize("granularity", ["query", "kv"])
def test_a_dense_mask_of_the_file_alone_gives_the_patchs_logits(profile: HeadProfile, granularity: str) -> None:
    content = export(profile, "--granularity", granularity)

    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        full = head in content["layers"][layer]["full_heads"]
        return (j < content["sink"]) | (i - j < content["window"]) | full

    model = tiny_model(0)
    inputs = prompt(["where is the red-star?", "what digit is by the blue-bar?"], [2, 1])
    patch = Hybrid(profile.top(0.25), SINK, WINDOW, granularity=granularity)  # type: ignore[arg-type]
    with oracle(model, allowed):
        expected = logits(model, inputs)
    with patch(model):
        found = logits(model, inputs)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-6, rtol=0)
    assert (found - logits(model, inputs))[real].abs().max() > 1e-3
    assert [layer["full_kv_heads"] for layer in content["layers"]] == patch.full_kv_heads(model)


def test_the_heads_come_back_with_where_they_are_from(profile: HeadProfile) -> None:
    content = export(profile)
    heads = {(layer, head) for layer, windows in enumerate(content["layers"]) for head in windows["full_heads"]}
    assert heads == profile.top(0.25)
    assert content["model"] == read_json(profile.source)["model"]
    # as the manifest of a run has it that was given this file
    ranking = {"score": "ram", "selection": "top", "fraction": 0.25, "seed": None}
    assert content["ranking"] == {**ranking, "fingerprint": json_hash(read_json(profile.source))}
    assert export(profile) == content  # over its own older file


def test_controls(profile: HeadProfile) -> None:
    nothing, drawn = export(profile, "--selection", "none"), export(profile, "--selection", "random", "--seed", "3")
    assert nothing["layers"] == [{"full_heads": [], "full_kv_heads": []}] * LAYERS
    assert nothing["ranking"]["fraction"] is None
    assert sum(len(layer["full_heads"]) for layer in drawn["layers"]) == LAYERS * HEADS // 4
    assert drawn["ranking"]["seed"] == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--fraction", "2"], "fraction"),
        (["--selection", "topp"], "selection is 'topp', expected one of .*did you mean 'top'"),
        (["--granularity", "layer"], "--granularity: 'layer', expected query or kv"),
        (["--out", "heads.json"], "the head profile itself, expected another file"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    profile: HeadProfile,
    more: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(profile.source).parent)
    before = Path(profile.source).read_bytes()
    assert main(["heads", "export", "heads.json", "--out", "windows.json", *more]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert re.search(said, error)
    assert Path(profile.source).read_bytes() == before
