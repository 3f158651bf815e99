"""Options of ``coreheads bench``: defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path

import family_cases
import pytest
import torch

from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench.settings import Settings
from coreheads.bench.target import load, shapes
from coreheads.cli import main
from coreheads.heads.types import SINK, WINDOW


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--context", "8x"], "--context: '8x'"),
        (["--context", "0"], "--context: '0'"),
        (["--fraction", "1.5"], "--fraction: '1.5'"),
        (["--fraction", "x"], "--fraction: 'x'"),
        (["--window", "0"], "--window: '0'"),
        (["--sink", "1,2", "--window", "1,2,3"], "--sink: 2 values"),
        (["--selection", "top"], "top needs --heads FILE"),
        (["--selection", ","], "expected at least one value"),
        (["--context", "4000000k"], "--context: '4000000k'"),
        (["--context", "9" * 5000], "--context: '9999"),
        (["--window", "9999999999"], "--window: '9999999999', expected a whole number of at least 1 (below 2**31)"),
        (["--fraction", ",".join(["0.5"] * 2000)], "--fraction: 2,000 values, expected at most 1,000"),
        (
            ["--context", ",".join(map(str, range(1, 500))), "--window", ",".join(map(str, range(1, 100)))],
            "--context x --selection x --fraction x --window: 197,604 measurements, expected at most 10,000",
        ),
        (["--granularity", "layer"], "--granularity: 'layer'"),
        (["--heads", "/nowhere.json"], "/nowhere.json: no such file"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--out", "."], "--out is ., a folder"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], expected: str, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(small_model), *arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert expected in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("option", ["--repeats", "--warmup", "--decode-tokens", "--batch", "--threads"])
def test_no_measurement_without_end(option: str, small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(small_model), option, "1000000"]) == 2
    assert f"Invalid value for '{option}': " in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_prompts_beyond_a_checkpoints_context_are_one_line(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    assert main(["bench", "tiny", "--context", "1k,1000k", "--device", "cpu", "--out", str(out), *more]) == 2
    assert "--context: 1,024,000 tokens, expected at most the 16,384 that tiny takes" in (
        said := capsys.readouterr().err
    )
    assert said.count("\n") == 1
    assert not out.exists()


def test_sink_and_window_have_one_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Settings] = []
    monkeypatch.setattr("coreheads.bench.run.run", lambda settings, say: asked.append(settings) or "")
    assert main(["bench", "tiny", "--out", str(tmp_path / "b.json")]) == 0
    assert asked[0].patterns == [(SINK, WINDOW)]
    hybrid = Hybrid({(0, 0)})
    assert (hybrid.sink, hybrid.window) == (SINK, WINDOW)


def test_auto_is_the_checkpoints_own_dtype(tmp_path: Path) -> None:
    config = family_cases.model("qwen3_vl").config
    config.dtype = torch.float16
    config.save_pretrained(tmp_path)
    assert load(str(tmp_path), True, "cpu", "auto").model.dtype == torch.float16
    assert shapes(str(tmp_path), "auto").model.dtype == torch.float16
    assert load(str(tmp_path), True, "cpu", "float32").model.dtype == torch.float32
    assert shapes("Qwen/Qwen3-VL-4B", "auto").model.dtype == torch.bfloat16
