"""The script for a GPU: every part's whole flow on a small model, on a CPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import family_cases
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "tools" / "bench_gpu.py"


@pytest.fixture(scope="module")
def script() -> Any:
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("bench_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_every_part_names_a_published_shape(script: Any) -> None:
    from coreheads.adapters.checkpoints import published

    asked = {(part.model, context // 1024) for part in script.PARTS.values() for context in part.contexts}
    assert {model for model, _ in asked} <= set(published.names())
    spreads = {
        (part.model, context, selection, fraction)
        for part in script.PARTS.values()
        for context, selection, fraction in product(part.contexts, part.selections, part.fractions)
    }
    for size, context in product(("4B", "8B"), (8, 32, 64, 128)):
        for selection, fraction in product(("clustered", "scattered"), (0.05, 0.1)):
            assert (f"Qwen/Qwen3-VL-{size}-Instruct", context * 1024, selection, fraction) in spreads
    for size in ("4B", "8B"):
        assert {(f"Qwen/Qwen3-VL-{size}-Instruct", k) for k in (8, 32, 64, 128)} <= asked
    for model in (script.QWEN.format("32B"), script.LLAVA, script.INTERN):
        assert (model, 32) in asked


@pytest.mark.parametrize(
    ("part", "family"), [("8b", "qwen3_vl"), ("8b-chunked", "qwen3_vl"), ("llava-7b", "llava_onevision"),
                         ("8b-ram", "internvl"), ("8b-fit", "internvl")]
)  # fmt: skip
def test_the_flow(
    script: Any,
    part: str,
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    family_cases.model(family).config.save_pretrained(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", part, "--tiny", str(tmp_path)])
    assert script.main() == 0
    rows = json.loads((tmp_path / f"{part}.json").read_text())["rows"]
    asked = script.PARTS[part]
    assert {row["selection"] for row in rows} == set(asked.selections)
    assert {row["fraction"] for row in rows} == set(asked.fractions)
    details = json.loads((tmp_path / f"{part}.details.json").read_text())
    assert ("ram" in details) == (part == "8b-ram")
    assert ("longest" in details) == (part == "8b-fit")
    assert f"{part}: " in capsys.readouterr().out


def test_what_it_refuses(script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "9b"])
    assert script.main() == 2
    assert "expected one of 4b" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--list"])
    assert script.main() == 0
    assert "8b-128k-clustered-5" in capsys.readouterr().out
    if not torch.cuda.is_available():
        monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "8b"])
        assert script.main() == 2
        assert "device: 'cuda'" in capsys.readouterr().err
