"""``coreheads bench`` from end to end on small models, and its files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import family_cases
import pytest
import torch
from bench_cases import PLAN, QUICK, SETTINGS, compared, run

from coreheads.bench.ram_and_fit import largest
from coreheads.bench.rows import PHASES, Row
from coreheads.bench.run import bench
from coreheads.bench.target import Target, load
from coreheads.bench.timing import Runner, fastest_kernels, measure
from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.timing.interleaved import OWN


def test_a_checkpoint_by_phase(small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    arguments = ["bench", str(small_model), "--context", "300,411", "--fraction", "0.25", "--device", "cpu", *QUICK]
    assert main([*arguments, "--out", str(out), "--ram", "--fit", "--threads", "1"]) == 0
    stored = json.loads(out.read_text())
    assert set(stored) == {"schema_version", "rows"}
    assert stored["schema_version"] == 1
    rows = stored["rows"]
    assert all(tuple(row) == tuple(Row.__annotations__) for row in rows)
    # two contexts, two spreads, all phases
    assert len(rows) == 2 * 2 * len(PHASES)
    for row in rows:
        assert row["weights"] == "loaded"
        assert row["context"] in (300, 411)
        assert row["speedup"] == pytest.approx(row["dense_ms"] / row["hybrid_ms"])
        assert row["dense_ci"][0] <= row["dense_ms"] <= row["dense_ci"][1]
        if row["phase"] in ("preprocess", "vision"):
            assert (row["speedup"], row["ceiling"], row["dense_kernel"]) == (1.0, None, None)
        else:
            assert row["ceiling_share"] == pytest.approx(row["speedup"] / row["ceiling"])
            assert set(row["dense_kernel"].split("+")) <= {"sdpa", "eager", OWN}
    details = json.loads((tmp_path / "bench.details.json").read_text())
    # the KV ratio is of bytes, and is what the formula says
    patch = compared(load(str(small_model), False, "cpu", "float32"))[0].patch
    clustered = [row for row in rows if row["selection"] == "clustered" and row["context"] == 411]
    model = load(str(small_model), False, "cpu", "float32").model
    assert clustered[0]["kv_bytes_ratio"] == pytest.approx(patch.kv_ratio(model, 411), rel=0.02)
    assert details["contexts"][0]["checked"]["clustered 25 %, sink 4, window 16"]["row_error"] < 1e-5
    assert set(details["ram"][0]) >= {"plain", "ram", "eager"}
    assert details["longest"] == {}
    printed = capsys.readouterr().out
    assert "of 8 KV heads keep all tokens" in printed
    assert "prefill: " in printed
    assert "tokens on" in printed or "not faster" in printed
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model_type", family_cases.FAMILIES)
def test_random_weights_of_every_family(model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family_cases.model(model_type).config.save_pretrained(tmp_path)
    arguments = ["bench", str(tmp_path), "--random-weights", "--context", "200", "--fraction", "0.25", "--dtype"]
    selection = ["--selection", "scattered", "--prefill-chunk", "64", "--granularity", "kv", "--batch", "2"]
    assert main([*arguments, "float32", "--device", "cpu", *QUICK, *selection, "--out", str(tmp_path / "b.json")]) == 0
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert {row["phase"] for row in rows} == {"vision", "prefill", "decode", "end_to_end"}
    assert {row["weights"] for row in rows} == {"random"}
    assert {row["batch"] for row in rows} == {2}
    printed = capsys.readouterr().out
    assert "Weights were random" in printed
    assert "Not measured: preprocess" in printed


def test_published_shapes_are_known_by_the_beginning_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.bench.target import _configuration

    for given, layers in (
        ("Qwen/Qwen3-VL-8B", 36),
        ("Qwen/Qwen3-VL-32B-Instruct", 64),
        ("OpenGVLab/InternVL3_5-8B", 36),
    ):
        name, config = _configuration(given)
        assert name.startswith(given)
        assert config.text_config.num_hidden_layers == layers
    with pytest.raises(UserError, match="no known shape"):
        _configuration("Qwen/Qwen3-VL-7B")


def test_all_variants_take_turns(target: Target) -> None:
    (entry,) = compared(target)
    workload = target.workload(300)
    result = measure(target, workload, {entry.name: entry.patch}, PLAN)
    seconds, kernels = result["seconds"], result["dense_kernels"]
    assert set(seconds) == {"dense", entry.name, f"ceiling {entry.name}"}
    assert all(len(times[phase]) == 2 for times in seconds.values() for phase in ("prefill", "decode", "vision"))
    assert set(kernels["prefill"]) == {"sdpa", "eager", OWN}
    assert fastest_kernels(kernels)["decode"] == min(kernels["decode"], key=kernels["decode"].__getitem__)
    assert workload.inputs["input_ids"].shape == (1, 300)
    assert 0 < workload.vision_tokens < 300
    assert "forward" not in vars(target.adapter.vision_modules[0])
    assert target.model.model.language_model.config._attn_implementation == "sdpa"


def test_the_longest_context_is_found_by_halving() -> None:
    tried: list[int] = []

    def fits(limit: int) -> Any:
        def attempt(tokens: int) -> None:
            tried.append(tokens)
            if tokens > limit:
                raise torch.OutOfMemoryError

        return attempt

    assert largest(fits(100_000), 8192) == 99328
    assert largest(fits(5000), 131072) == 4096
    assert largest(fits(500), 4096) is None
    assert largest(fits(1 << 30), 4096, limit=1 << 16) == 1 << 16
    assert len(tried) < 60
    # each try takes 10 seconds: the fourth would begin after 30, and might end after 50
    times = iter(range(0, 1000, 10))
    assert largest(fits(1 << 30), 1024, seconds=60, clock=lambda: float(next(times))) == 2048


def test_out_of_memory_ends_the_series(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Target.workload

    def limited(self: Target, tokens: int, batch: int = 1) -> Any:
        if tokens > 300:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return workload(self, tokens, batch)

    monkeypatch.setattr(Target, "workload", limited)
    said: list[str] = []
    rows, details = bench(target, replace(SETTINGS, contexts=[280, 400, 500]), said.append)
    assert {row["context"] for row in rows} == {280}
    assert "out_of_memory" in details["contexts"][1]
    assert len(details["contexts"]) == 2
    assert "does not fit" in said[-1]


def test_kernels_that_do_not_fit_are_left_out(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = Runner.dense
    fitting = {"eager"}

    def limited(self: Runner, kernels: Mapping[str, str]) -> dict[str, float]:
        if kernels["prefill"] not in fitting:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return dense(self, kernels)

    monkeypatch.setattr(Runner, "dense", limited)
    (entry,) = compared(target)
    measured = measure(target, target.workload(300), {entry.name: entry.patch}, PLAN)
    assert set(measured["dense_kernels"]["prefill"]) == {"eager"}
    fitting.clear()
    rows, details = run(target)
    assert not rows
    assert "Tried to allocate" in details["contexts"][0]["out_of_memory"]


def test_prompts_shorter_than_a_picture_are_refused(target: Target) -> None:
    with pytest.raises(UserError, match="--context is 5, expected at least"):
        target.workload(5)


def test_heads_of_another_model_are_refused(small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = Path(__file__).parents[3] / "results" / "embedded" / "heads.json"
    assert main(["bench", str(small_model), "--heads", str(heads)]) == 2
    assert "belongs to another model" in capsys.readouterr().err


@pytest.mark.slow
def test_it_needs_torch_and_transformers_only(small_model: Path, tmp_path: Path) -> None:
    """As on a machine where nothing else is installed; an old typer is, a new one needs pydantic itself."""
    program = (
        "import sys\n"
        "others = ('lmms_eval', 'datasets', 'decord', 'pydantic', 'av', 'pypdfium2', 'typer', 'altair')\n"
        "sys.modules.update(dict.fromkeys(others))\n"
        "from pathlib import Path\n"
        "from coreheads.bench.run import Settings, run\n"
        "from coreheads.bench.settings import Plan\n"
        f"settings = Settings({str(small_model)!r}, [100], [0.2], ['clustered'], [(4, 16)],"
        f" Path({str(tmp_path / 'b.json')!r}), random_weights=True, device='cpu', plan=Plan(2, 0, 3))\n"
        "print(run(settings))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "Weights were random" in done.stdout
    assert "No picture: altair and vl-convert-python are not installed." in done.stdout
    assert json.loads((tmp_path / "b.json").read_text())["rows"]
    assert not (tmp_path / "b.png").exists()
